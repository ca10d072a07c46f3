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
  const http = scan.fieldsOf(Part.HTTP);
  for (let field = http.next(); field !== 0; field = http.next()) {
    if (field !== HEADER_MAP || http.type !== WireType.LEN) continue;
    const headers = new FieldScan(scan.bytes, http.from, http.to);
    for (let inner = headers.next(); inner !== 0; inner = headers.next()) {
      if (inner !== HEADERS || headers.type !== WireType.LEN) continue;
      const header = headerOf(scan.bytes, headers.from, headers.to);
      if (header === undefined) continue;
      const before = map.get(header.name);
      map.set(header.name, before === undefined ? header.value : `${before},${header.value}`);
    }
  }
  return map;
}

/** `undefined` if it is malformed, so that the others can be read. */
function headerOf(
  bytes: Buffer,
  from: number,
  to: number,
): { readonly name: string; readonly value: string } | undefined {
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
