/**
 * A log line of a plugin, decoded when it is read: a plugin may send more of them, and longer ones, than are written.
 * **In**: the bytes of a LogLine. **Out**: a line. **Fails**: reading it, never; what cannot be read, or is too long, is named in its
 * place.
 */
import { Buffer } from 'node:buffer';
import type { LogFields } from '../../contract.ts';
import type { LogLine } from '../../isolated/protocol.ts';
import { messageOf } from '../../../text/message-of.ts';
import { FieldScan, WireType } from '../../../protobuf/scan.ts';
import { boundedText } from '../bounded-text.ts';
import { message, type MessageCodec, text, word } from './fields.ts';
import { valuesBy } from './values.ts';

type Bare = Omit<LogLine, 'kind' | 'octets'>;

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
const LEVEL = 1;
const MESSAGE = 2;

/** More fields than this are not read; it is several times what a line of the log shows. */
const MAX_OCTETS = 65_536;

const WRITTEN = message<Bare>({
  level: [LEVEL, word(LEVELS, 'info')],
  message: [MESSAGE, text],
  fields: [3, valuesBy(() => 'any')],
});

class Line implements Bare {
  readonly level: (typeof LEVELS)[number];
  readonly octets: number;
  readonly #bytes: Buffer;
  readonly #from: number;
  readonly #to: number;
  #messageFrom = 0;
  #messageTo = 0;

  constructor(bytes: Buffer, from: number, to: number) {
    this.#bytes = bytes;
    this.#from = from;
    this.#to = to;
    this.octets = Math.min(to - from, MAX_OCTETS);
    let level = 0;
    const fields = new FieldScan(bytes, from, to);
    for (let field = fields.next(); field !== 0; field = fields.next()) {
      if (field === LEVEL && fields.type === WireType.VARINT) level = fields.value;
      if (field !== MESSAGE || fields.type !== WireType.LEN) continue;
      this.#messageFrom = fields.from;
      this.#messageTo = fields.to;
    }
    this.level = LEVELS[level - 1] ?? 'info';
  }

  get message(): string {
    const to = Math.min(this.#messageTo, this.#messageFrom + MAX_OCTETS);
    return boundedText(this.#bytes.toString('utf8', this.#messageFrom, to));
  }

  get fields(): LogFields {
    const octets = this.#to - this.#from - (this.#messageTo - this.#messageFrom);
    if (octets > MAX_OCTETS)
      return { problem: `the fields of this line have ${octets} octets; ${MAX_OCTETS} are read` };
    try {
      return WRITTEN.read(this.#bytes, this.#from, this.#to).fields;
    } catch (error) {
      return { problem: `the fields of this line cannot be read: ${messageOf(error)}` };
    }
  }
}

export const LOG_LINE: MessageCodec<Bare> = {
  write: (writer, line) => WRITTEN.write(writer, line),
  read: (bytes, from, to) => new Line(bytes, from, to),
};
