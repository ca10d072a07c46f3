export interface FrontendOptions {
  /** For `context.time`; the system's clock by default. */
  readonly nowMs?: () => number;
  /** Called for each malformed access log entry, and each malformed message of entries; they are dropped. */
  readonly onRefusedEntry?: (why: string) => void;
}

export const systemNowMs = (): number => Date.now();
