/** HTTP statuses of gRPC codes, as google.rpc.Code says them. */
export const Code = {
  OK: 0,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;

const HTTP_OF_CODE: readonly number[] = [
  200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401,
];

/** For what a check handler denies with. */
export const httpOfCode = (code: number): number => HTTP_OF_CODE[code] ?? 403;

export const isDenialCode = (code: unknown): code is number =>
  Number.isInteger(code) && (code as number) > 0 && (code as number) < HTTP_OF_CODE.length;

/** For a deny rule's own status: what says who is asking is told apart, all else is a refusal. */
export const codeOfHttp = (status: number): number =>
  status === 401 ? Code.UNAUTHENTICATED : status === 429 ? Code.RESOURCE_EXHAUSTED : Code.PERMISSION_DENIED;
