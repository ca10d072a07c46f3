/**
 * Context extensions of a check as a header of its gRPC call, for Envoy's network filter: its messages have none, and
 * `grpc_service.initial_metadata` is configured for each filter chain (docs/envoy.md#tcp-listeners).
 */
export const CONTEXT_HEADER = 'x-sluice-context';

/** A JSON object of texts, in ASCII. `%` is escaped, since Envoy substitutes command operators in values of headers. */
export const contextHeader = (extensions: Readonly<Record<string, string>>): string =>
  JSON.stringify(extensions).replace(/[^ -~]|%/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** `text` has one character for each byte, as headers have. `undefined` if it is not a JSON object of texts. */
export function extensionsOf(text: string): ReadonlyMap<string, string> | undefined {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(text, 'latin1').toString());
  } catch {
    return undefined;
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return undefined;
  const extensions = new Map(Object.entries(json));
  for (const value of extensions.values()) if (typeof value !== 'string') return undefined;
  return extensions;
}
