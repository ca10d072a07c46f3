/** Enough to reach a plugin below Node's console, streams and HTTP. */
const FRAMES = 50;

/** The error of a stack below one of our functions, which others called. */
export function stackBelow(own: (...args: never[]) => unknown, message = ''): Error {
  const before = Error.stackTraceLimit;
  Error.stackTraceLimit = FRAMES;
  const at = new Error(message);
  Error.captureStackTrace(at, own);
  Error.stackTraceLimit = before;
  return at;
}
