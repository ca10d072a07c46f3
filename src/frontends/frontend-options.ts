export interface FrontendOptions {
  /** For `context.time`; the system's clock by default. */
  readonly nowMs?: () => number;
  /** Called for each access log entry, and each message of entries, that is dropped since it is malformed. */
  readonly onRefusedEntry?: (why: string) => void;
}

export const systemNowMs = (): number => Date.now();
