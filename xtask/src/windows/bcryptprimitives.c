/* Rust's standard library takes random numbers from ProcessPrng, which Windows exports from bcryptprimitives.dll since
 * Windows 10. Wine 8 has no such file and ends every Rust program with code 53. This file stands in for it in the tests
 * alone: it asks advapi32 for random numbers (RtlGenRandom), as Rust did for older versions of Windows. */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T length) {
    return SystemFunction036(buffer, (ULONG)length);
}
