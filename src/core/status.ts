/** gRPC codes and their HTTP statuses, by google.rpc.Code. */
export const Code = {
  OK: 0,
  INVALID_ARGUMENT: 3,
  NOT_FOUND: 5,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  UNIMPLEMENTED: 12,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;

const HTTP_OF_CODE: readonly number[] = [
  200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401,
];

/** HTTP status of a handler's denial. */
export const httpOfCode = (code: number): number => HTTP_OF_CODE[code] ?? 403;

const WORDS_OF_CODE: readonly string[] = [
  'ok',
  'cancelled',
  'unknown',
  'invalid argument',
  'deadline exceeded',
  'not found',
  'already exists',
  'permission denied',
  'resource exhausted',
  'failed precondition',
  'aborted',
  'out of range',
  'unimplemented',
  'internal',
  'unavailable',
  'data loss',
  'unauthenticated',
];

/** In place of a reason. */
export const wordsOfCode = (code: number): string => WORDS_OF_CODE[code] ?? `code ${code}`;

export const isDenialCode = (code: unknown): code is number =>
  Number.isInteger(code) && (code as number) > 0 && (code as number) < HTTP_OF_CODE.length;

/** gRPC code of a deny rule's status, as gRPC clients see it. */
export const codeOfHttp = (status: number): number => CODE_OF_HTTP.get(status) ?? Code.PERMISSION_DENIED;

const CODE_OF_HTTP: ReadonlyMap<number, number> = new Map([
  [400, Code.INVALID_ARGUMENT],
  [401, Code.UNAUTHENTICATED],
  [404, Code.NOT_FOUND],
  [429, Code.RESOURCE_EXHAUSTED],
  [501, Code.UNIMPLEMENTED],
  [503, Code.UNAVAILABLE],
]);
