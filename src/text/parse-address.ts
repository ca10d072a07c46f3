/**
 * Reads `127.0.0.1:9091`, `[::1]:9091`, `:9091` (this machine only) and `unix:/run/sluice.sock`, which is a host without a port as in
 * gRPC's naming; `undefined` if it is none of them.
 */
export function parseAddress(text: string): { readonly host: string; readonly port: number } | undefined {
  if (/^unix:[^\0]{1,107}$/.test(text)) return { host: text, port: 0 };
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]*)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits ?? Number.NaN);
  if (!(port <= 65_535)) return undefined;
  return { host: bracketed ?? (plain === undefined || plain === '' ? '127.0.0.1' : plain), port };
}
