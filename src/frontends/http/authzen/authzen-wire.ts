/** **In**: an access evaluation. **Out**: its attributes. **Fails**: never. */
import type { Wire } from '../../../attributes/bag.ts';
import { mapOfJson } from '../../../attributes/json-value.ts';
import { Timestamp, type Value } from '../../../attributes/values.ts';
import { byNumber, numberOf } from '../../../attributes/vocabulary.ts';
import type { Evaluation } from './evaluation.ts';

export class AuthzenWire implements Wire {
  readonly evaluation: Evaluation;
  readonly weight: number;
  readonly nowMs: () => number;

  /** `weight`: bytes of the document that it is part of. */
  constructor(evaluation: Evaluation, weight: number, nowMs: () => number) {
    this.evaluation = evaluation;
    this.weight = weight;
    this.nowMs = nowMs;
  }

  read(attribute: string, number = numberOf(attribute)): Value | undefined {
    return number === undefined ? undefined : READERS[number]?.(this.evaluation, this);
  }

  carried(): undefined {
    return undefined;
  }

  /** Nothing is shared with the connection. */
  keep(): void {}
}

const READERS = byNumber<(evaluation: Evaluation, wire: AuthzenWire) => Value>({
  'authzen.subject.type': ({ subject }) => subject.type,
  'authzen.subject.id': ({ subject }) => subject.id,
  'authzen.subject.properties': ({ subject }) => mapOfJson(subject.properties),
  'authzen.action.name': ({ action }) => action.name,
  'authzen.action.properties': ({ action }) => mapOfJson(action.properties),
  'authzen.resource.type': ({ resource }) => resource.type,
  'authzen.resource.id': ({ resource }) => resource.id,
  'authzen.resource.properties': ({ resource }) => mapOfJson(resource.properties),
  'authzen.context': ({ context }) => mapOfJson(context),
  'context.time': (_, { nowMs }) => Timestamp.fromMs(nowMs()),
});
