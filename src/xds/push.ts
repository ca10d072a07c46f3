/** What a push of resources takes, and what is counted of it. */

export interface PushTimes {
  /** For the proxy to accept clusters before its routes change, and routes before the old clusters go. Then the push goes on. */
  readonly acceptMs: number;
  /** From then on a newer state takes the place of one that the proxy has not accepted, so that its endpoints do not wait. */
  readonly yieldMs: number;
  /** Before the old clusters go, since requests that were routed before may still choose them: Envoy answers these with an empty 503. */
  readonly lingerMs: number;
}

/** Called once for each. */
export interface XdsMeters {
  /** A stream that is not served, by the gRPC code of its refusal. */
  readonly streamRefused?: (code: number) => void;
  /** A response was made. */
  readonly pushed?: (typeUrl: string) => void;
  /** A proxy has accepted everything that a change has brought it. */
  readonly accepted?: (sinceChangeMs: number) => void;
}
