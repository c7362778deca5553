/* A PKCS#11 module that passes everything on to a real one and fails where it is told to: what SoftHSM never does and
 * tokens of metal do. Written for the tests of otaseal.
 *
 * FAULTY_REAL is the real module; FAULTY is one fault, with a number behind a colon where it takes one. Each login is a
 * line in FAULTY_LOGINS: a token counts those that are wrong.
 *
 * The order of the functions and the values are those of PKCS #11 2.40 (OASIS), section 3.6 and appendix A of the header.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long word;
typedef unsigned char byte;

enum { GET_TOKEN_INFO = 6, GET_MECHANISM_LIST = 7, OPEN_SESSION = 12, CLOSE_SESSION = 13, LOGIN = 18,
       FIND_OBJECTS = 27, SIGN = 43, SIGN_UPDATE = 44, SIGN_FINAL = 45, FUNCTIONS = 68 };
enum { DEVICE_ERROR = 0x30, DEVICE_REMOVED = 0x32, PIN_INCORRECT = 0xA0, PIN_LOCKED = 0xA4, SESSION_COUNT = 0xB1 };
enum { PIN_COUNT_LOW = 0x10000, FINAL_TRY = 0x20000, LOCKED = 0x40000 };

struct table { byte major, minor; void *function[FUNCTIONS]; };

static struct table real, ours;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long sessions, signatures, logins;

/* Whether this is the fault; its number, if any, goes to *number. */
static int fault(const char *name, long *number)
{
	const char *wanted = getenv("FAULTY");
	size_t length = strlen(name);
	if (!wanted || strncmp(wanted, name, length) || (wanted[length] && wanted[length] != ':'))
		return 0;
	if (number)
		*number = wanted[length] ? atol(wanted + length + 1) : 0;
	return 1;
}

static long count(long *counter, long change)
{
	pthread_mutex_lock(&lock);
	long now = *counter += change;
	pthread_mutex_unlock(&lock);
	return now;
}

static word get_token_info(word slot, byte *info)
{
	word done = ((word (*)(word, byte *))real.function[GET_TOKEN_INFO])(slot, info);
	/* CK_TOKEN_INFO: label, manufacturer, model and serial number (32 + 32 + 16 + 16 bytes), then the flags. */
	word flags = 0;
	if (fault("locked", NULL) || (fault("locks", NULL) && logins))
		flags = LOCKED;
	if (fault("last-try", NULL))
		flags = PIN_COUNT_LOW | FINAL_TRY;
	word old;
	memcpy(&old, info + 96, sizeof old);
	old |= flags;
	memcpy(info + 96, &old, sizeof old);
	return done;
}

static word get_mechanism_list(word slot, word *list, word *length)
{
	if (fault("no-mechanisms", NULL))
		return DEVICE_ERROR;
	return ((word (*)(word, word *, word *))real.function[GET_MECHANISM_LIST])(slot, list, length);
}

static word open_session(word slot, word flags, void *application, void *notify, word *session)
{
	long most;
	if (fault("removed-before", NULL))
		return DEVICE_REMOVED;
	if (fault("sessions", &most) && count(&sessions, 1) > most) {
		count(&sessions, -1);
		return SESSION_COUNT;
	}
	return ((word (*)(word, word, void *, void *, word *))real.function[OPEN_SESSION])(slot, flags, application, notify,
											   session);
}

static word close_session(word session)
{
	if (fault("sessions", NULL))
		count(&sessions, -1);
	return ((word (*)(word))real.function[CLOSE_SESSION])(session);
}

static word login(word session, word user, byte *pin, word length)
{
	count(&logins, 1);
	const char *path = getenv("FAULTY_LOGINS");
	FILE *log = path ? fopen(path, "a") : NULL;
	if (log) {
		fputs("login\n", log);
		fclose(log);
	}
	if (fault("login-locked", NULL))
		return PIN_LOCKED;
	if (fault("locks", NULL) || fault("last-try", NULL))
		return PIN_INCORRECT;
	if (fault("removed-at-login", NULL))
		return DEVICE_REMOVED;
	return ((word (*)(word, word, byte *, word))real.function[LOGIN])(session, user, pin, length);
}

static word find_objects(word session, word *objects, word most, word *found)
{
	if (fault("removed-at-search", NULL))
		return DEVICE_REMOVED;
	return ((word (*)(word, word *, word, word *))real.function[FIND_OBJECTS])(session, objects, most, found);
}

/* What becomes of a signature that the real module made. */
static word spoil(byte *signature, word *length, word done)
{
	long after, made = count(&signatures, 1);
	if (done || !signature)
		return done;
	if (fault("flipped", &after) && made > after)
		signature[*length / 2] ^= 0x10;
	if (fault("short", NULL))
		*length -= 1;
	if (fault("empty", NULL))
		*length = 0;
	if (fault("zeros", NULL))
		memset(signature, 0, *length);
	return 0;
}

/* A caller asks twice: for the length, with no place for the signature, and for the signature. */
static word sign_error(byte *signature)
{
	long after;
	if (fault("device-error", &after) && signature && signatures >= after)
		return DEVICE_ERROR;
	if (fault("removed", &after) && signatures >= after)
		return DEVICE_REMOVED;
	return 0;
}

static word sign(word session, byte *data, word data_length, byte *signature, word *length)
{
	word error = sign_error(signature);
	if (error)
		return error;
	word done = ((word (*)(word, byte *, word, byte *, word *))real.function[SIGN])(session, data, data_length,
											 signature, length);
	return signature ? spoil(signature, length, done) : done;
}

static word sign_update(word session, byte *part, word length)
{
	if (fault("removed-meanwhile", NULL))
		return DEVICE_REMOVED;
	return ((word (*)(word, byte *, word))real.function[SIGN_UPDATE])(session, part, length);
}

static word sign_final(word session, byte *signature, word *length)
{
	word error = sign_error(signature);
	if (error)
		return error;
	word done = ((word (*)(word, byte *, word *))real.function[SIGN_FINAL])(session, signature, length);
	return signature ? spoil(signature, length, done) : done;
}

word C_GetFunctionList(struct table **list)
{
	const char *path = getenv("FAULTY_REAL");
	void *module = path ? dlopen(path, RTLD_NOW) : NULL;
	word (*get)(struct table **) = module ? (word (*)(struct table **))dlsym(module, "C_GetFunctionList") : NULL;
	struct table *theirs;
	if (!get || get(&theirs))
		return DEVICE_ERROR;
	real = ours = *theirs;
	ours.function[GET_TOKEN_INFO] = get_token_info;
	ours.function[GET_MECHANISM_LIST] = get_mechanism_list;
	ours.function[OPEN_SESSION] = open_session;
	ours.function[CLOSE_SESSION] = close_session;
	ours.function[LOGIN] = login;
	ours.function[FIND_OBJECTS] = find_objects;
	ours.function[SIGN] = sign;
	ours.function[SIGN_UPDATE] = sign_update;
	ours.function[SIGN_FINAL] = sign_final;
	*list = &ours;
	return 0;
}
