const MAX_DETAILS = 1024;

/** The encoding of grpc-message: UTF-8, with `%XX` for `%` and everything except printable ASCII. Long text is truncated. */
export function percentEncoded(text: string): string {
  let encoded = '';
  for (const byte of new TextEncoder().encode(text.length > MAX_DETAILS ? `${text.slice(0, MAX_DETAILS)}...` : text)) {
    encoded +=
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

/** Sent by a peer, so invalid encodings stay as they are. */
export function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
