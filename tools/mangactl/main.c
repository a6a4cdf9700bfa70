/* main.c: mangactl, the operator's tool. */
#include "tools/mangactl/ctl.h"

int main(int argc, char **argv)
{
    return ctl_main(argc - 1, argv + 1, stdout, stderr);
}
