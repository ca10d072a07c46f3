/** Field numbers of envoy.service.auth.v3: CheckResponse, OkHttpResponse, DeniedHttpResponse. */
export const RESPONSE = { status: 1, denied: 2, ok: 3, dynamicMetadata: 4 } as const;
export const OK = {
  headers: 2,
  headersToRemove: 5,
  responseHeadersToAdd: 6,
  queryParametersToSet: 7,
  queryParametersToRemove: 8,
} as const;
export const DENIED = { status: 1, headers: 2, body: 3 } as const;
