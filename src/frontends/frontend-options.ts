export interface FrontendOptions {
  /** For `context.time`; the system's clock where not given. */
  readonly nowMs?: () => number;
  /** Told of each access log entry that is dropped because it cannot be read, and of each message that is none. */
  readonly onRefusedEntry?: (why: string) => void;
}

export const systemNowMs = (): number => Date.now();
