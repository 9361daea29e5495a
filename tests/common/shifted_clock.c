/* Preloaded into a program, makes its wall clock wrong by the seconds that the file $SHIFTED_CLOCK says. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *time)
{
    static int file = -1;
    char text[32] = {0};
    long result = syscall(SYS_clock_gettime, id, time);
    if (result != 0 || id != CLOCK_REALTIME)
        return (int)result;
    if (file < 0)
        file = open(getenv("SHIFTED_CLOCK"), O_RDONLY | O_CLOEXEC);
    if (pread(file, text, sizeof text - 1, 0) > 0)
        time->tv_sec += atoll(text);
    return 0;
}
