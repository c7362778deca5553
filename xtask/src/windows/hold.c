/* Opens a file, as another program does while it uses it: `hold FILE nobody` lets nobody else open it, `hold FILE read`
 * lets others read it. It says `held`, and ends when its standard input ends. */
#include <stdio.h>
#include <wchar.h>
#include <windows.h>

int wmain(int count, wchar_t **words) {
    if (count != 3) return 2;
    DWORD share = wcscmp(words[2], L"read") == 0 ? FILE_SHARE_READ : 0;
    HANDLE file = CreateFileW(words[1], GENERIC_READ, share, NULL, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
    if (file == INVALID_HANDLE_VALUE) return 1;
    puts("held");
    fflush(stdout);
    while (getchar() != EOF) {}
    return 0;
}
