/** Kinds of spans, and which of them are errors by the semantic conventions of HTTP and gRPC. */

/** In the order of their numbers. */
export const KINDS = ['INTERNAL', 'SERVER', 'CLIENT', 'PRODUCER', 'CONSUMER'] as const;
export type Kind = (typeof KINDS)[number];

/** By number; the conventions write the names. */
const GRPC_CODES = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
];
/** Of the others, such as NOT_FOUND, the server is not at fault. */
const ERRORS_OF_SERVERS = new Set([
  'UNKNOWN',
  'DEADLINE_EXCEEDED',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
]);

/** The value of error.type, `undefined` if the span is no error. A server's is one from 500 on, a client's from 400 on. */
export function errorTypeOf(input: Readonly<Record<string, unknown>>, kind: Kind): string | undefined {
  const given = input['error.type'];
  if (typeof given === 'string' && given !== '') return given;
  const rpc = input['rpc.response.status_code'];
  if (typeof rpc === 'number' || (typeof rpc === 'string' && rpc !== '')) {
    const code = GRPC_CODES[Number(rpc)] ?? String(rpc);
    const isError = kind === 'SERVER' ? ERRORS_OF_SERVERS.has(code) : code !== 'OK';
    return isError ? code : undefined;
  }
  const status = Number(input['http.response.status_code'] ?? 0);
  return status >= (kind === 'SERVER' ? 500 : 400) ? String(status) : undefined;
}
