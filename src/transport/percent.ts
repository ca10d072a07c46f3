const MOST_DETAILS = 1024;

/** As gRPC over HTTP/2 wants a status' message: UTF-8, with everything but printable ASCII, and the percent sign, as `%XX`. */
export function percentEncoded(text: string): string {
  let encoded = '';
  for (const octet of new TextEncoder().encode(
    text.length > MOST_DETAILS ? `${text.slice(0, MOST_DETAILS)}...` : text,
  )) {
    encoded +=
      octet >= 0x20 && octet <= 0x7e && octet !== 0x25
        ? String.fromCharCode(octet)
        : `%${octet.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}
