export interface FrontendOptions {
  /** For `context.time`; the system's clock where not given. */
  readonly nowMs?: () => number;
}

export const systemNowMs = (): number => Date.now();
