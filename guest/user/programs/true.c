/* true: succeeds. */

/* Does nothing and says so. */
int main(void) { return 0; }
