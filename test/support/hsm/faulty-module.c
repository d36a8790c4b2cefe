// A PKCS#11 module that hands everything on to another (TESTING_HSM_LIBRARY) and fails as the file TESTING_HSM_FAULT says:
// the name of a fault and how many calls it is still for. Each login is written down in TESTING_HSM_LOGINS.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CK_PTR *
#define CK_DECLARE_FUNCTION(returnType, name) returnType name
#define CK_DECLARE_FUNCTION_POINTER(returnType, name) returnType(*name)
#define CK_CALLBACK_FUNCTION(returnType, name) returnType(*name)
#define NULL_PTR 0
#include <pkcs11.h>

static CK_FUNCTION_LIST_PTR real;
static CK_FUNCTION_LIST faulty;

static const struct {
  const char *name;
  CK_RV value;
} refusals[] = {
    {"session-lost", CKR_SESSION_HANDLE_INVALID}, {"device-error", CKR_DEVICE_ERROR},
    {"token-removed", CKR_DEVICE_REMOVED},        {"logged-out", CKR_USER_NOT_LOGGED_IN},
    {"no-mechanism", CKR_MECHANISM_INVALID},      {"vendor-error", CKR_VENDOR_DEFINED | 7},
};

static int read_fault(char *name, int *left) {
  FILE *file = fopen(getenv("TESTING_HSM_FAULT"), "r");
  if (file == NULL) return 0;
  int fields = fscanf(file, "%31s %d", name, left);
  fclose(file);
  return fields == 2 && *left > 0;
}

/** Whether this call is to fail in that way; then one call fewer is. */
static int is_due(const char *wanted) {
  char name[32];
  int left;
  if (!read_fault(name, &left) || strcmp(name, wanted) != 0) return 0;
  FILE *file = fopen(getenv("TESTING_HSM_FAULT"), "w");
  fprintf(file, "%s %d", name, left - 1);
  fclose(file);
  return 1;
}

static CK_RV obstacle(void) {
  char name[32];
  int left;
  while (read_fault(name, &left) && strcmp(name, "silence") == 0) usleep(5000);
  if (is_due("crash")) abort();
  for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i += 1) {
    if (is_due(refusals[i].name)) return refusals[i].value;
  }
  return CKR_OK;
}

static CK_RV sign_init(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key) {
  CK_RV value = obstacle();
  return value == CKR_OK ? real->C_SignInit(session, mechanism, key) : value;
}

static CK_RV sign(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG length, CK_BYTE_PTR out, CK_ULONG_PTR room) {
  CK_RV value = real->C_Sign(session, data, length, out, room);
  if (value != CKR_OK || out == NULL) return value;
  if (is_due("wrong-signature")) out[7] ^= 1;
  if (is_due("half-signature")) *room /= 2;
  if (is_due("no-signature")) *room = 0;
  return CKR_OK;
}

static CK_RV session_info(CK_SESSION_HANDLE session, CK_SESSION_INFO_PTR info) {
  CK_RV value = obstacle();
  return value == CKR_OK ? real->C_GetSessionInfo(session, info) : value;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE type, CK_UTF8CHAR_PTR pin, CK_ULONG length) {
  FILE *file = fopen(getenv("TESTING_HSM_LOGINS"), "a");
  fputc('.', file);
  fclose(file);
  return is_due("pin-refused") ? CKR_PIN_INCORRECT : real->C_Login(session, type, pin, length);
}

static CK_RV token_info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info) {
  CK_RV value = real->C_GetTokenInfo(slot, info);
  char name[32];
  int left;
  if (value == CKR_OK && read_fault(name, &left) && strcmp(name, "final-try") == 0) info->flags |= CKF_USER_PIN_FINAL_TRY;
  return value;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list) {
  void *library = dlopen(getenv("TESTING_HSM_LIBRARY"), RTLD_NOW);
  if (library == NULL) return CKR_GENERAL_ERROR;
  CK_RV (*get)(CK_FUNCTION_LIST_PTR_PTR) = (CK_RV(*)(CK_FUNCTION_LIST_PTR_PTR))dlsym(library, "C_GetFunctionList");
  CK_RV value = get(&real);
  if (value != CKR_OK) return value;
  faulty = *real;
  faulty.C_SignInit = sign_init;
  faulty.C_Sign = sign;
  faulty.C_GetSessionInfo = session_info;
  faulty.C_Login = login;
  faulty.C_GetTokenInfo = token_info;
  *list = &faulty;
  return CKR_OK;
}
