/**
 * A cursor over opentelemetry.proto.common.v1.KeyValue.
 * **In**: the bytes of one. **Out**: the ranges of its key and its value. **Fails**: with a `Malformed`.
 */
import { FieldScan, WireType } from '../../protobuf/scan.ts';

export const [KEY, VALUE] = [1, 2];
const KEY_TAG = (KEY << 3) | WireType.LEN;
const VALUE_TAG = (VALUE << 3) | WireType.LEN;

/** The ranges of the last one read; {@link KEY_VALUE} is shared, so copy what a later read must not change. */
class KeyValueCursor {
  keyFrom = 0;
  keyTo = 0;
  /** Equal to `valueTo` if it has no value. */
  valueFrom = 0;
  valueTo = 0;
  /** Set when one was read whose value was sent in parts, of which the range is the last; merged-record.ts resets it. */
  hasParts = false;

  read(bytes: Uint8Array, from: number, to: number): void {
    // The common form: a short key, and a value whose length takes one or two bytes.
    const valueAt = from + 2 + (bytes[from + 1] as number);
    if (bytes[from] === KEY_TAG && valueAt < from + 2 + 0x80 && valueAt + 1 < to && bytes[valueAt] === VALUE_TAG) {
      const length = bytes[valueAt + 1] as number;
      this.keyFrom = from + 2;
      this.keyTo = valueAt;
      this.valueTo = to;
      if (length < 0x80 && valueAt + 2 + length === to) {
        this.valueFrom = valueAt + 2;
        return;
      }
      const high = bytes[valueAt + 2] as number;
      if (length >= 0x80 && high < 0x80 && valueAt + 3 + (length & 0x7f) + (high << 7) === to) {
        this.valueFrom = valueAt + 3;
        return;
      }
    }
    this.#any(bytes, from, to);
  }

  #any(bytes: Uint8Array, from: number, to: number): void {
    this.keyFrom = this.keyTo = this.valueFrom = this.valueTo = to;
    let values = 0;
    const fields = new FieldScan(bytes, from, to);
    for (let field = fields.next(); field !== 0; field = fields.next()) {
      if (fields.type !== WireType.LEN) continue;
      if (field === KEY) {
        this.keyFrom = fields.from;
        this.keyTo = fields.to;
      } else if (field === VALUE) {
        if (++values > 1) this.hasParts = true;
        this.valueFrom = fields.from;
        this.valueTo = fields.to;
      }
    }
  }
}

export const KEY_VALUE = new KeyValueCursor();
