/* false: fails. */

/* Does nothing and calls it a failure. */
int main(void) { return 1; }
