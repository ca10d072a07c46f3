export interface AnswerSettings {
  /** Hits beyond this part of the limit are counted as near it. */
  readonly nearLimitRatio: number;
  /** Nothing is refused, only counted. */
  readonly shadowMode: boolean;
  /** RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10), and Retry-After. */
  readonly ietfHeaders: boolean;
  readonly headers: { readonly limit: string; readonly remaining: string; readonly reset: string } | undefined;
  readonly dynamicMetadata: boolean;
}
