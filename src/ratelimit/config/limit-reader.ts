/**
 * `rate_limit` of a descriptor.
 * **In**: the fields of the descriptor. **Out**: its limit, with further limits (`also`).
 * **Fails**: with findings; the other fields are still read.
 */
import { messageOf } from '../../text/message-of.ts';
import { type JsonObject, Unit, unitOfName } from '../call.ts';
import { type Extensions, mostRequests, readExtensions } from './extensions.ts';
import { type FieldReader, type Fields, isNull, mapsOf } from './field-reader.ts';
import type { GoMap, GoNode } from './go-yaml.ts';
import { ALSO_KEYS, LIMIT_KEYS, REPLACES_KEYS } from './known-keys.ts';
import { metadataOf } from './metadata.ts';
import type { Limit } from './tree.ts';
import { windowOf } from './window.ts';

export interface LimitRead {
  readonly limit: Limit | undefined;
  /** `concurrency`: the key of the entry that ends a lease. */
  readonly endedBy: string;
}

const NO_LIMIT: LimitRead = { limit: undefined, endedBy: '' };

export class LimitReader {
  readonly #reader: FieldReader;
  readonly #calendarMonths: boolean;

  constructor(reader: FieldReader, calendarMonths: boolean) {
    this.#reader = reader;
    this.#calendarMonths = calendarMonths;
  }

  /** `isTop`: the descriptor is at the top level. */
  read(descriptor: Fields, fullKey: string, isTop: boolean): LimitRead {
    const reader = this.#reader;
    const { findings } = reader;
    const given = descriptor.get('rate_limit');
    const [shadow, quota] = [reader.flag(descriptor.get('shadow_mode')), reader.flag(descriptor.get('quota_mode'))];
    const metadata = this.#metadata(descriptor.get('metadata'));
    if (given === undefined || (given.kind === 'scalar' && given.isNothing)) return NO_LIMIT;
    // NULL makes an empty struct
    const map: GoNode = isNull(given) ? { kind: 'map', start: given.start, end: given.end, entries: [] } : given;
    if (map.kind !== 'map') {
      findings.error(map, 'RATELIMIT_VALUE_TYPE', 'rate_limit must be a map: { unit: minute, requests_per_unit: 10 }');
      return NO_LIMIT;
    }
    const errorsBefore = findings.errors;
    const fields = reader.fields(map, LIMIT_KEYS, 'rate_limit');
    const unlimited = reader.flag(fields.get('unlimited'));
    const extensions = readExtensions(fields.get('sluice'), reader);
    const { algorithm, outage, endedBy, also } = extensions;
    const unit =
      algorithm === 'concurrency'
        ? this.#unitOfLease(fields, map, isTop)
        : this.#unit(fields, map, unlimited, extensions.hasPeriod);
    const name = reader.text(fields.get('name'));
    const limit: Limit = {
      fullKey,
      name,
      unlimited,
      ...this.#amount(fields, map, extensions, unit, unlimited),
      endsLease: false,
      replaces: this.#replaces(fields.get('replaces'), name),
      also: [],
      outage,
      shadow,
      quota,
      metadata,
      position: findings.positionOf(map),
    };
    const whole = also === undefined ? limit : { ...limit, also: this.#also(also, limit) };
    if (findings.errors === errorsBefore && !unlimited) this.#warnOfNoAmount(fields, map);
    return { endedBy, limit: whole };
  }

  /** `sluice: { also: [{ unit: hour, requests_per_unit: 100 }] }`: further limits of the same descriptor. */
  #also(list: GoNode, main: Limit): readonly Limit[] {
    const { findings } = this.#reader;
    if (list.kind !== 'list') {
      this.#wrong(list, 'also must be a list of further limits: [{ unit: hour, requests_per_unit: 100 }]');
      return [];
    }
    if (main.unlimited || main.algorithm === 'concurrency')
      this.#wrong(list, `also cannot be combined with ${main.unlimited ? 'unlimited' : 'algorithm: concurrency'}`);
    const periodsS = new Set([main.window.lengthS]);
    return mapsOf(list).map((item): Limit => {
      const errorsBefore = findings.errors;
      const fields = this.#reader.fields(item, ALSO_KEYS, 'an entry of also');
      const extensions = readExtensions(fields.get('sluice'), this.#reader);
      const { algorithm, outage, also } = extensions;
      if (algorithm === 'concurrency' || also !== undefined)
        this.#wrong(item, `a further limit cannot have ${also === undefined ? 'algorithm: concurrency' : 'also'}`);
      const unit = this.#unit(fields, item, false, extensions.hasPeriod);
      const amount = this.#amount(fields, item, extensions, unit, false);
      const { lengthS } = amount.window;
      if (periodsS.has(lengthS))
        this.#wrong(
          item,
          'the limits of a descriptor must have different periods, but this one has the period of another',
        );
      periodsS.add(lengthS);
      if (findings.errors === errorsBefore) this.#warnOfNoAmount(fields, item);
      return {
        ...main,
        name: '',
        replaces: [],
        ...amount,
        outage: outage ?? main.outage,
        position: findings.positionOf(item),
      };
    });
  }

  #amount(
    fields: Fields,
    map: GoMap,
    { algorithm, burst, period }: Extensions,
    unit: Unit,
    unlimited: boolean,
  ): Pick<Limit, 'unit' | 'window' | 'algorithm' | 'requestsPerUnit' | 'burst'> {
    const requestsPerUnit = this.#reader.count(fields.get('requests_per_unit'));
    const most = mostRequests(algorithm);
    if (!unlimited && requestsPerUnit > most)
      this.#wrong(
        fields.get('requests_per_unit') ?? map,
        `requests_per_unit is ${requestsPerUnit}; algorithm: ${algorithm} stores each request, and allows ${most} at most`,
      );
    return {
      unit: period === undefined ? unit : undefined,
      window: period ?? windowOf(unit, this.#calendarMonths),
      algorithm,
      requestsPerUnit,
      burst: burst ?? requestsPerUnit,
    };
  }

  /** A lease has a period (`per`) and no unit. */
  #unitOfLease(fields: Fields, map: GoMap, isTop: boolean): Unit {
    if (isTop)
      this.#wrong(
        map,
        'algorithm: concurrency counts by the entries before the last one, which names the holder of a lease; ' +
          'put it below another descriptor',
      );
    if (fields.has('unit'))
      this.#wrong(
        fields.get('unit') ?? map,
        'algorithm: concurrency has no unit; write the longest duration of a lease: sluice: { per: 30s }',
      );
    return Unit.SECOND;
  }

  #unit(fields: Fields, map: GoMap, unlimited: boolean, hasPeriod: boolean): Unit {
    const { findings } = this.#reader;
    const node = fields.get('unit');
    const text = this.#reader.text(node);
    const unit = unitOfName(text);
    if (unlimited && unit !== undefined)
      findings.error(node ?? map, 'RATELIMIT_UNLIMITED', 'should not specify rate limit unit when unlimited');
    else if (unit !== undefined && hasPeriod)
      this.#wrong(node ?? map, 'a limit has a unit, or sluice: { per: ... }, not both');
    else if (unit === undefined && unlimited) {
      if (text !== '')
        findings.warning(node ?? map, 'RATELIMIT_UNIT', `'${text}' is not a unit; unlimited needs none, so remove it`);
    } else if (unit === undefined && (text !== '' || !hasPeriod))
      findings.error(
        node ?? map,
        'RATELIMIT_UNIT',
        `invalid rate limit unit '${text}'; write second, minute, hour, day, week, month or year`,
      );
    return unit ?? Unit.SECOND;
  }

  /** About an extension. */
  #wrong(place: GoNode, message: string): void {
    this.#reader.findings.error(place, 'RATELIMIT_SLUICE', message);
  }

  #warnOfNoAmount(fields: Fields, map: GoMap): void {
    const amount = fields.get('requests_per_unit');
    if (amount === undefined || isNull(amount))
      this.#reader.findings.warning(
        map,
        'RATELIMIT_NO_AMOUNT',
        'requests_per_unit is missing, which means 0: every request is over this limit; write a number, or 0 if that is intended',
      );
  }

  #replaces(list: GoNode | undefined, own: string): readonly string[] {
    if (list === undefined || isNull(list)) return [];
    const { findings } = this.#reader;
    if (list.kind !== 'list') {
      findings.error(list, 'RATELIMIT_VALUE_TYPE', 'replaces must be a list: [{ name: OTHER }]');
      return [];
    }
    return mapsOf(list).map((item) => {
      const node = this.#reader.fields(item, REPLACES_KEYS, 'an entry of replaces').get('name');
      const name = this.#reader.text(node);
      if (name === '')
        findings.error(
          node ?? item,
          'RATELIMIT_REPLACES',
          'should not have an empty replaces entry; write - name: OTHER',
        );
      else if (name === own)
        findings.error(node ?? item, 'RATELIMIT_REPLACES', 'replaces should not contain name of same descriptor');
      return name;
    });
  }

  #metadata(node: GoNode | undefined): JsonObject | undefined {
    if (node === undefined || isNull(node)) return undefined;
    try {
      if (node.kind === 'map') return metadataOf(node);
      throw new Error('expected a map');
    } catch (error) {
      this.#reader.findings.error(node, 'RATELIMIT_VALUE_TYPE', `error parsing metadata: ${messageOf(error)}`);
      return undefined;
    }
  }
}
