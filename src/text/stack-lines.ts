/**
 * Lines of an error's stack below its message. A message may quote a client, and a line of it may look like a frame. None if the error
 * cannot be read; never throws.
 */
export function stackLines(error: unknown): readonly string[] {
  try {
    return readStack(error);
  } catch {
    return [];
  }
}

function readStack(error: unknown): readonly string[] {
  if (!(error instanceof Error)) return [];
  const { stack, message } = error as { readonly stack?: unknown; readonly message: unknown };
  if (Array.isArray(stack)) return stack.map((frame) => `    at ${String(frame)}`); // a plugin replaced Error.prepareStackTrace
  if (typeof stack !== 'string') return [];
  const at = typeof message === 'string' ? stack.indexOf(message) : -1;
  return (at < 0 ? stack : stack.slice(at + String(message).length)).split('\n');
}
