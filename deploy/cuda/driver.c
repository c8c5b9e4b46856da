/* Stands in for NVIDIA's driver: to link against, where its names are enough, and to hear what the program says of a
   machine without a card, with an old driver, or with cards that nothing can be computed on. The build adds all other
   names that cudarc declares; each answers "no device", as these do where nothing else is set. */
#include <stdio.h>
#include <stdlib.h>

enum { OK = 0, NO_DEVICE = 100 };

static int number(const char *name) {
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

static int there(void) { return number("STAND_IN_GPUS") > 0 ? OK : NO_DEVICE; }

int cuInit(unsigned flags) { return flags ? NO_DEVICE : there(); }

int cuDriverGetVersion(int *version) {
    *version = number("STAND_IN_VERSION");
    return OK;
}

int cuDeviceGetCount(int *count) {
    *count = number("STAND_IN_GPUS");
    return OK;
}

int cuDeviceGet(int *device, int ordinal) {
    *device = ordinal;
    return OK;
}

int cuDeviceGetName(char *name, int length, int device) {
    snprintf(name, (size_t)length, "stand-in %d", device);
    return OK;
}

int cuGetErrorString(int error, const char **text) {
    *text = error == NO_DEVICE ? "no CUDA-capable device is detected" : "another error";
    return OK;
}
