/** UTF-8 octets as text. To call what makes texts of octets takes four times as long as to make a short one of ASCII here. */
export function octetText(bytes: Buffer, from: number, to: number): string {
  const length = to - from;
  if (length > 8) return bytes.toString('utf8', from, to);
  let all = 0;
  for (let at = from; at < to; at++) all |= bytes[at] as number;
  if (all >= 0x80) return bytes.toString('utf8', from, to);
  const octet = (at: number): number => bytes[from + at] as number;
  switch (length) {
    case 0:
      return '';
    case 1:
      return String.fromCharCode(octet(0));
    case 2:
      return String.fromCharCode(octet(0), octet(1));
    case 3:
      return String.fromCharCode(octet(0), octet(1), octet(2));
    case 4:
      return String.fromCharCode(octet(0), octet(1), octet(2), octet(3));
    case 5:
      return String.fromCharCode(octet(0), octet(1), octet(2), octet(3), octet(4));
    case 6:
      return String.fromCharCode(octet(0), octet(1), octet(2), octet(3), octet(4), octet(5));
    case 7:
      return String.fromCharCode(octet(0), octet(1), octet(2), octet(3), octet(4), octet(5), octet(6));
    default:
      return String.fromCharCode(octet(0), octet(1), octet(2), octet(3), octet(4), octet(5), octet(6), octet(7));
  }
}
