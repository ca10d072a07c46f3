import { lowerAscii } from '../../protobuf/header-map.ts';
import { absentWhereMalformed } from '../../protobuf/malformed.ts';
import { FieldScan, WireType } from '../../protobuf/scan.ts';
import { type CheckScan, Part } from './check-scan.ts';

/** Field numbers of an HttpRequest, and of envoy.config.core.v3.HeaderMap and HeaderValue. */
const HEADER_MAP = 13;
const HEADERS = 1;
const [KEY, VALUE, RAW_VALUE] = [1, 2, 3];

/** The headers of encode_raw_headers, with names in lower case. The values of a repeated header are joined by a comma. */
export function rawHeaders(scan: CheckScan): ReadonlyMap<string, string> {
  const map = new Map<string, string>();
  eachHeader(scan, ({ name, value }) => {
    const before = map.get(name);
    map.set(name, before === undefined ? value : `${before},${value}`);
  });
  return map;
}

/** As {@link rawHeaders}, with each value of a repeated header by itself. */
export function rawHeaderValues(scan: CheckScan): ReadonlyMap<string, readonly string[]> {
  const map = new Map<string, string[]>();
  eachHeader(scan, ({ name, value }) => {
    const before = map.get(name);
    if (before === undefined) map.set(name, [value]);
    else before.push(value);
  });
  return map;
}

interface Header {
  readonly name: string;
  readonly value: string;
}

function eachHeader(scan: CheckScan, take: (header: Header) => void): void {
  const http = scan.fieldsOf(Part.HTTP);
  for (let field = http.next(); field !== 0; field = http.next()) {
    if (field !== HEADER_MAP || http.type !== WireType.LEN) continue;
    const headers = new FieldScan(scan.bytes, http.from, http.to);
    for (let inner = headers.next(); inner !== 0; inner = headers.next()) {
      if (inner !== HEADERS || headers.type !== WireType.LEN) continue;
      const header = headerOf(scan.bytes, headers.from, headers.to);
      if (header !== undefined) take(header);
    }
  }
}

/** `undefined` if it is malformed, so that the others can be read. */
function headerOf(bytes: Buffer, from: number, to: number): Header | undefined {
  try {
    const fields = new FieldScan(bytes, from, to);
    let [name, value, raw] = ['', '', ''];
    for (let field = fields.next(); field !== 0; field = fields.next()) {
      if (fields.type !== WireType.LEN) continue;
      if (field === KEY) name = bytes.toString('utf8', fields.from, fields.to);
      else if (field === VALUE) value = bytes.toString('utf8', fields.from, fields.to);
      else if (field === RAW_VALUE) raw = bytes.toString('utf8', fields.from, fields.to);
    }
    return { name: lowerAscii(name), value: raw === '' ? value : raw };
  } catch (error) {
    return absentWhereMalformed(error);
  }
}
