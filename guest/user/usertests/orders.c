/* Tests of one page that several relatives share and write, in every order there is. */
#include "guest/user/usertests/usertests.h"

#define PLAYERS 4
#define MOST_PLAYERS 9
#define WORDS_PER_PAGE (PAGE_BYTES / sizeof(unsigned))

/* The page by which the players keep their steps; all of them see it. */
struct board {
    volatile unsigned present;
    volatile unsigned step;
    volatile unsigned checked;
};

/* One game: the order of turns. order[i] = the player that writes as number i. */
struct game {
    struct board* board;
    volatile unsigned* page;
    unsigned players;
    int order[MOST_PLAYERS];
};

/* Waits for a counter of the board to reach a value. */
static void wait_until(volatile unsigned* counter, unsigned value) {
    while (*counter < value)
        yield();
}

/* Checks some words of the page, the first and the last among them. */
static void check_page(volatile unsigned* page, unsigned value) {
    for (unsigned i = 0; i < WORDS_PER_PAGE; i += 93)
        CHECK_EQUAL(page[i], value);
}

/* Is one player: waits for its turn, must still see the original, writes, and must see its own to the end. */
static void play(struct game* game, int player) {
    unsigned turn = 0;

    while (game->order[turn] != player)
        turn++;
    __atomic_add_fetch(&game->board->present, 1, __ATOMIC_SEQ_CST);
    wait_until(&game->board->present, game->players);
    wait_until(&game->board->step, turn);
    check_page(game->page, 'O');
    for (unsigned i = 0; i < WORDS_PER_PAGE; i += 31)
        game->page[i] = 'A' + (unsigned)player;
    game->board->step++;
    wait_until(&game->board->step, game->players);
    check_page(game->page, 'A' + (unsigned)player);
    __atomic_add_fetch(&game->board->checked, 1, __ATOMIC_SEQ_CST);
    wait_until(&game->board->checked, game->players);
}

/* Player 2, the grandchild. */
static void play_grandchild(void* game) { play(game, 2); }

/* Player 1, the child; forks player 2 first. */
static void play_child(void* game) {
    int pid = start(play_grandchild, game);

    play(game, 1);
    finish(pid);
}

/* Player 3, the second child. */
static void play_second_child(void* game) { play(game, 3); }

/* Plays one order; player 0 is the test's own process. */
static void play_order(struct game* game) {
    memset(game->board, 0, sizeof *game->board);
    for (unsigned i = 0; i < WORDS_PER_PAGE; i++)
        game->page[i] = 'O';
    int child = start(play_child, game);
    int second = start(play_second_child, game);
    play(game, 0);
    finish(child);
    finish(second);
}

/* Makes order number `number` of the 24 that four players have. */
static void make_order(int number, int order[PLAYERS]) {
    bool taken[PLAYERS] = {false, false, false, false};

    for (int i = 0, left = PLAYERS; i < PLAYERS; i++, left--) {
        int skip_free = number % left;
        int player = 0;
        number /= left;
        while (taken[player] || skip_free-- > 0)
            player++;
        taken[player] = true;
        order[i] = player;
    }
}

/* Parent, child, grandchild and second child write in all 24 orders. */
static void cow_every_order(void) {
    struct game game = {map_board(), map_pages(1, MAP_PRIVATE), PLAYERS, {0}};

    for (int number = 0; number < 24; number++) {
        make_order(number, game.order);
        play_order(&game);
    }
}

static int next_link; /* each generation inherits the number that is its own */

/* Is one generation of a chain: forks the next one, then plays. */
static void play_link(void* argument) {
    struct game* game = argument;
    int player = next_link++;
    int pid = (unsigned)next_link < game->players ? start(play_link, game) : 0;

    play(game, player);
    if (pid > 0)
        finish(pid);
}

/* Nine generations that share one page write it in ten random orders. */
static void cow_generations_in_random_order(void) {
    struct game game = {map_board(), map_pages(1, MAP_PRIVATE), MOST_PLAYERS, {0}};
    unsigned random = 12345;

    for (int number = 0; number < 10; number++) {
        for (unsigned i = 0; i < MOST_PLAYERS; i++) {
            unsigned place = (random = random * 1103515245 + 12345) / 65536 % (i + 1);
            game.order[i] = game.order[place];
            game.order[place] = (int)i;
        }
        memset(game.board, 0, sizeof *game.board);
        for (unsigned i = 0; i < WORDS_PER_PAGE; i++)
            game.page[i] = 'O';
        next_link = 0;
        play_link(&game);
    }
}

/* Ends in child number `argument`, after it has written one word and found those of the others original. */
static void write_own_word(void* argument) {
    volatile unsigned* page = *(volatile unsigned**)argument;
    unsigned own = ((unsigned)getpid() * 37) % WORDS_PER_PAGE;

    page[own] = 1;
    yield();
    for (unsigned i = 0; i < WORDS_PER_PAGE; i += 11)
        CHECK_EQUAL(page[i], i == own ? 1 : 7);
}

/* Sixteen descendants share one page, each writes it, none sees another's write. */
static void cow_sixteen_sharers(void) {
    volatile unsigned* page = map_pages(1, MAP_PRIVATE);
    int pids[16];

    for (unsigned i = 0; i < WORDS_PER_PAGE; i++)
        page[i] = 7;
    for (int i = 0; i < 16; i++)
        pids[i] = start(write_own_word, &page);
    for (int i = 15; i >= 0; i--)
        finish(pids[i]);
    for (unsigned i = 0; i < WORDS_PER_PAGE; i++)
        CHECK_EQUAL(page[i], 7);
}

const struct test order_tests[] = {
    {"cow_every_order", cow_every_order},
    {"cow_generations_in_random_order", cow_generations_in_random_order},
    {"cow_sixteen_sharers", cow_sixteen_sharers},
    {NULL, NULL},
};
