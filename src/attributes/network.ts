/**
 * IP addresses and CIDR ranges as values. IPv4-mapped IPv6 addresses (`::ffff:192.0.2.1`) are IPv4 (docs/rules.md, section 3).
 * Text is RFC 4291 in, RFC 5952 out.
 */

/** An address of 4 or 16 bytes. */
export class Ip {
  readonly bytes: Uint8Array;
  #text: string | undefined;

  /** `bytes`: 4 or 16; an IPv4-mapped address becomes 4. `text`: the canonical text, if it is known. */
  constructor(bytes: Uint8Array, text?: string) {
    this.bytes = isMapped(bytes) ? bytes.subarray(12) : bytes;
    this.#text = text;
  }

  get family(): 4 | 6 {
    return this.bytes.length === 4 ? 4 : 6;
  }

  /** Canonical text. */
  toString(): string {
    this.#text ??= formatIp(this);
    return this.#text;
  }

  equals(other: Ip): boolean {
    return this.bytes.length === other.bytes.length && this.bytes.every((byte, index) => byte === other.bytes[index]);
  }
}

/** A range. Host bits may be set, as in CEL's `cidr()`; `masked()` clears them. */
export class Cidr {
  readonly address: Ip;
  readonly prefixLength: number;

  constructor(address: Ip, prefixLength: number) {
    this.address = address;
    this.prefixLength = prefixLength;
  }

  containsIp(ip: Ip): boolean {
    const [range, bytes] = [this.address.bytes, ip.bytes];
    if (range.length !== bytes.length) return false;
    const whole = this.prefixLength >> 3;
    for (let index = 0; index < whole; index += 1) if (range[index] !== bytes[index]) return false;
    const rest = this.prefixLength & 7;
    if (rest === 0) return true;
    const mask = (0xff << (8 - rest)) & 0xff;
    return ((range[whole] ?? 0) & mask) === ((bytes[whole] ?? 0) & mask);
  }

  containsCidr(other: Cidr): boolean {
    return other.prefixLength >= this.prefixLength && this.containsIp(other.address);
  }

  masked(): Cidr {
    const bytes = this.address.bytes.map((byte, index) => {
      const kept = Math.min(8, Math.max(0, this.prefixLength - index * 8));
      return byte & ((0xff << (8 - kept)) & 0xff);
    });
    return new Cidr(new Ip(bytes), this.prefixLength);
  }

  equals(other: Cidr): boolean {
    return this.prefixLength === other.prefixLength && this.address.equals(other.address);
  }

  toString(): string {
    return `${this.address.toString()}/${this.prefixLength}`;
  }
}

function isMapped(bytes: Uint8Array): boolean {
  if (bytes.length !== 16 || bytes[10] !== 0xff || bytes[11] !== 0xff) return false;
  for (let index = 0; index < 10; index += 1) if (bytes[index] !== 0) return false;
  return true;
}

/** Parses `192.0.2.1` or `2001:db8::1`; `undefined` for zones, leading zeros in IPv4, and other text. */
export function parseIp(text: string): Ip | undefined {
  if (!text.includes(':')) {
    const bytes = parseIpv4(text);
    return bytes === undefined ? undefined : new Ip(bytes, text); // only the canonical text is accepted
  }
  const bytes = parseIpv6(text);
  return bytes === undefined ? undefined : new Ip(bytes);
}

/** As {@link parseIp}; also with a port, as some proxies write peers: `192.0.2.1:443`, `[2001:db8::1]:443`, `[2001:db8::1]`. */
export function parseIpOfPeer(text: string): Ip | undefined {
  const parts = /^(?:\[([^\]]*)\]|([^:]*))(?::\d{1,5})?$/.exec(text);
  return parseIp(parts?.[1] ?? parts?.[2] ?? text);
}

/** Parses `10.0.0.0/8`; `undefined` if the address or the length is invalid. */
export function parseCidr(text: string): Cidr | undefined {
  const [address = '', length, ...more] = text.split('/');
  if (length === undefined || more.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(length)) return undefined;
  const bytes = address.includes(':') ? parseIpv6(address) : parseIpv4(address);
  if (bytes === undefined || Number(length) > bytes.length * 8) return undefined;
  if (isMapped(bytes)) return Number(length) < 96 ? undefined : new Cidr(new Ip(bytes), Number(length) - 96);
  return new Cidr(new Ip(bytes), Number(length));
}

/** The 32 bits of an IPv4 address, read digit by digit; taking the text apart would take five times as long. */
export function ipv4Number(text: string): number | undefined {
  const { length } = text;
  if (length > 15) return undefined;
  let address = 0;
  let parts = 0;
  let value = -1;
  for (let at = 0; at <= length; at++) {
    const code = at === length ? DOT : text.charCodeAt(at);
    if (code === DOT) {
      if (value < 0 || parts === 4) return undefined;
      address = address * 256 + value;
      parts++;
      value = -1;
      continue;
    }
    const digit = code - 0x30;
    if (digit < 0 || digit > 9 || value === 0) return undefined; // some readers take a leading zero for octal
    value = value < 0 ? digit : value * 10 + digit;
    if (value > 255) return undefined;
  }
  return parts === 4 ? address : undefined;
}

function parseIpv4(text: string): Uint8Array | undefined {
  const address = ipv4Number(text);
  if (address === undefined) return undefined;
  const bytes = new Uint8Array(4);
  bytes[0] = address >>> 24;
  bytes[1] = address >>> 16;
  bytes[2] = address >>> 8;
  bytes[3] = address;
  return bytes;
}

const DOT = 0x2e;

function parseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [left, right] = halves.map(groupsOf);
  if (left === undefined || (halves.length === 2 && right === undefined)) return undefined;
  const given = left.length + (right?.length ?? 0);
  if (halves.length === 1 ? given !== 8 : given > 7) return undefined;
  const groups = [...left, ...Array.from({ length: 8 - given }, () => 0), ...(right ?? [])];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

function groupsOf(text: string): number[] | undefined {
  if (text === '') return [];
  const parts = text.split(':');
  const last = parts.at(-1) ?? '';
  const groups: number[] = [];
  if (last.includes('.')) {
    const tail = parseIpv4(last);
    if (tail === undefined) return undefined;
    parts.pop();
    groups.push(((tail[0] ?? 0) << 8) | (tail[1] ?? 0), ((tail[2] ?? 0) << 8) | (tail[3] ?? 0));
  }
  if (!parts.every((part) => /^[0-9a-fA-F]{1,4}$/.test(part))) return undefined;
  return [...parts.map((part) => Number.parseInt(part, 16)), ...groups];
}

/** RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups as `::`. */
function formatIp(ip: Ip): string {
  if (ip.family === 4) return ip.bytes.join('.');
  const groups = Array.from(
    { length: 8 },
    (_, index) => ((ip.bytes[index * 2] ?? 0) << 8) | (ip.bytes[index * 2 + 1] ?? 0),
  );
  let best = { at: -1, length: 1 };
  for (let at = 0; at < 8; at += 1) {
    let length = 0;
    while (at + length < 8 && groups[at + length] === 0) length += 1;
    if (length > best.length) best = { at, length };
  }
  const hex = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  if (best.at < 0) return hex(groups);
  return `${hex(groups.slice(0, best.at))}::${hex(groups.slice(best.at + best.length))}`;
}
