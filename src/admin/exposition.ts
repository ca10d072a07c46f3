/**
 * The metrics page in the format that a scraper asks for.
 * **In**: pieces in Prometheus text format, whose samples may have exemplars, and the Accept header. **Out**: pieces in the best format
 * that is accepted: text 0.0.4, text 1.0.0 or OpenMetrics 1.0.0. **Fails**: never.
 */
import { type Header, headerOf, linePieces, sampleOf } from './exposition-lines.ts';

export interface Format {
  readonly name: 'text' | 'openmetrics';
  readonly contentType: string;
}

const TEXT: Format = { name: 'text', contentType: 'text/plain; version=0.0.4; charset=utf-8' };
/** Names on the page need no escaping, so any scheme that is asked for is the one in use. */
const SCHEMES = new Set(['allow-utf-8', 'underscores', 'dots', 'values']);

/** The accepted format with the highest q; the first of several. Text 0.0.4 if none is accepted, as Prometheus requires of targets. */
export function acceptedFormat(accept: string | undefined): Format {
  let best: Format = TEXT;
  let bestQ = 0;
  for (const range of (accept ?? '').split(',')) {
    const [type = '', ...params] = range.split(';').map((part) => part.trim().toLowerCase());
    const param = (name: string): string | undefined =>
      params
        .find((one) => one.startsWith(`${name}=`))
        ?.slice(name.length + 1)
        .replaceAll('"', '');
    const format = formatOf(type, param('version'), param('escaping'));
    const q = Number(param('q') ?? 1);
    if (format === undefined || !(q > bestQ)) continue;
    [best, bestQ] = [format, q];
  }
  return best;
}

function formatOf(type: string, version: string | undefined, escaping: string | undefined): Format | undefined {
  const scheme = escaping !== undefined && SCHEMES.has(escaping) ? `; escaping=${escaping}` : '';
  if (type === 'application/openmetrics-text' && (version ?? '1.0.0') === '1.0.0')
    return { name: 'openmetrics', contentType: `application/openmetrics-text; version=1.0.0; charset=utf-8${scheme}` };
  if (type === 'text/plain' && version === '1.0.0')
    return { name: 'text', contentType: `text/plain; version=1.0.0; charset=utf-8${scheme}` };
  if (['text/plain', 'text/*', '*/*'].includes(type) && (version ?? '0.0.4') === '0.0.4') return TEXT;
  return undefined;
}

/** Pieces of whole lines in one format, one in each turn of the event loop. */
export async function* inFormat(pieces: AsyncIterable<string>, format: Format['name']): AsyncGenerator<string> {
  const writer = format === 'text' ? new TextWriter() : new OpenMetricsWriter();
  for await (const piece of linePieces(pieces)) {
    let text = '';
    for (let at = 0; at < piece.length;) {
      const isComment = piece[at] === '#';
      const end = isComment ? piece.indexOf('\n', at) + 1 : piece.indexOf('\n#', at) + 1 || piece.length;
      text += isComment ? writer.comment(piece.slice(at, end - 1)) : writer.samples(piece.slice(at, end));
      at = end;
    }
    if (text !== '') yield text;
  }
  yield writer.end();
}

/** Leaves out exemplars, units, and headers of a family that has had them: promtool and other readers refuse a second HELP. */
class TextWriter {
  readonly #written = new Set<string>();

  comment(line: string): string {
    const header = headerOf(line);
    if (header === undefined || header.word === 'UNIT' || header.word === 'MERGE') return '';
    const once = `${header.word} ${header.family}`;
    if (this.#written.has(once)) return '';
    this.#written.add(once);
    return `${line}\n`;
  }

  samples(lines: string): string {
    return lines.includes(' # ')
      ? eachSample(lines, ({ series, value, timestamp = '' }) => [series, value, timestamp])
      : lines;
  }

  end(): string {
    return '';
  }
}

/** Of a family: its headers until its first sample, by which a counter is named. */
class OpenMetricsWriter {
  readonly #written = new Set<string>();
  #family = '';
  #type = 'unknown';
  #headers = new Map<Header['word'], string>();

  comment(line: string): string {
    const header = headerOf(line);
    if (header === undefined || header.word === 'MERGE') return '';
    const { word, family, rest } = header;
    const before = family === this.#family ? '' : this.#begin(family);
    this.#headers.set(word, rest);
    if (word === 'TYPE') this.#type = rest === 'untyped' ? 'unknown' : rest;
    return before;
  }

  samples(lines: string): string {
    const head = this.#head(lines);
    if (this.#type === 'histogram')
      lines = lines.replaceAll(LE, (_, before: string, le: string) => `${before}le="${boundText(le)}"`);
    const mayHaveExemplars = this.#type === 'counter' || this.#type === 'histogram';
    if (lines.includes(' # ') || TIMESTAMP.test(lines) || lines.startsWith('\n') || lines.includes('\n\n'))
      lines = eachSample(lines, ({ series, value, timestamp, exemplar }) => [
        series,
        value,
        timestamp === undefined ? '' : String(Number(timestamp) / 1000),
        exemplar === undefined || !mayHaveExemplars ? '' : `# ${exemplar}`,
      ]);
    return head + lines;
  }

  end(): string {
    return `${this.#head('')}# EOF\n`;
  }

  #begin(family: string): string {
    const before = this.#head('');
    this.#family = family;
    this.#type = 'unknown';
    return before;
  }

  /** The headers that wait for the first samples. */
  #head(samples: string): string {
    if (this.#headers.size === 0) return '';
    const name = this.#openMetricsName(samples);
    const headers = this.#headers;
    this.#headers = new Map();
    if (this.#written.has(name)) return '';
    this.#written.add(name);
    const [help, unit] = [headers.get('HELP'), headers.get('UNIT')];
    return [
      ...(help === undefined
        ? []
        : [`# HELP ${name} ${help.replace(/\\(.)|"/g, (found) => (found === '"' ? '\\"' : found))}\n`]),
      `# TYPE ${name} ${this.#type}\n`,
      ...(unit === undefined || !name.endsWith(`_${unit}`) ? [] : [`# UNIT ${name} ${unit}\n`]),
    ].join('');
  }

  /** A counter's samples must end in _total; one that does not is of unknown type, since another name would be another series. */
  #openMetricsName(samples: string): string {
    const family = this.#family;
    if (this.#type !== 'counter') return family;
    if (family.endsWith('_total')) return family.slice(0, -'_total'.length);
    if (samples !== '' && !samples.startsWith(`${family}_total`)) this.#type = 'unknown';
    return family;
  }
}

/** In a label's value a quote has a backslash before it, so this is never inside of one. */
const LE = /([{,])le="([^"]*)"/g;
/** Does not look into labels: a value of digits only stands between a space and a space. */
const TIMESTAMP = /[ \t][-+.\w]+[ \t]+-?\d+$/m;

function eachSample(
  lines: string,
  parts: (sample: NonNullable<ReturnType<typeof sampleOf>>) => readonly string[],
): string {
  let text = '';
  for (const line of lines.split('\n')) {
    if (line === '') continue;
    const sample = sampleOf(line);
    text += `${
      sample === undefined
        ? line
        : parts(sample)
            .filter((part) => part !== '')
            .join(' ')
    }\n`;
  }
  return text;
}

const bounds = new Map<string, string>();

/** The canonical number: `1.0`, `2.5`, `1e+06`. */
function boundText(le: string): string {
  const known = bounds.get(le);
  if (known !== undefined) return known;
  const text = canonical(le);
  if (bounds.size < 10_000) bounds.set(le, text);
  return text;
}

function canonical(le: string): string {
  const value = Number(le);
  if (!Number.isFinite(value)) return le;
  const [digits = '', power = ''] = value.toExponential().split('e');
  const exponent = Number(power);
  if (value !== 0 && (exponent < -4 || exponent >= 6))
    return `${digits}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
  return Number.isInteger(value) ? `${value}.0` : String(value);
}
