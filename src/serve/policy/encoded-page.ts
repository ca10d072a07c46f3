/** A metrics page on its way from a worker to the supervisor, in shared memory. */

/** UTF-8; one buffer for each piece. */
export async function encodedPage(page: AsyncIterable<string>): Promise<readonly SharedArrayBuffer[]> {
  const buffers: SharedArrayBuffer[] = [];
  for await (const piece of page) {
    const buffer = new SharedArrayBuffer(Buffer.byteLength(piece));
    Buffer.from(buffer).write(piece);
    buffers.push(buffer);
  }
  return buffers;
}

export async function* decodedPage(buffers: readonly SharedArrayBuffer[]): AsyncGenerator<string> {
  for (const buffer of buffers) yield Buffer.from(buffer).toString();
}
