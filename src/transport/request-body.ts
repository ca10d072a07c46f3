import type { IncomingMessage } from 'node:http';

export interface BodyLimits {
  readonly maxBytes: number;
  /** The error for a longer one. */
  readonly tooLarge: () => Error;
  /** Counts memory, and throws if there is too much. */
  readonly hold: (bytes: number) => void;
}

/** The body of a request, whole. An error leaves the connection open, so that the request can be answered. */
export async function requestBody(request: IncomingMessage, { maxBytes, tooLarge, hold }: BodyLimits): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooLarge();
    hold(chunk.length);
    chunks.push(chunk);
  }
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
}
