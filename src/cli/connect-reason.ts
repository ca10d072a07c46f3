/** Of grpc-js's `No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:1. Resolution note: ` the error. */
export const connectReason = (message: string): string =>
  /^No connection established\. Last error: (?:Error: )?(.*?)\.? Resolution note:.*$/s.exec(message)?.[1] ?? message;
