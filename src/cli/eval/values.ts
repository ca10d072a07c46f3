/** Converts values between JSON and expressions, exactly: an int64 is decimal text if a number would lose digits. */
import { type Type, typeText } from '../../attributes/types.ts';
import { valueOfPlain, wantedForm } from '../../attributes/plain-value.ts';
import { Uint, type Value } from '../../attributes/values.ts';
import { Optional, TypeName, type Val } from '../../expression/index.ts';
import { jsonOfValue } from '../../attributes/json-of-value.ts';
import { CliError } from '../cli-error.ts';

/** Throws CLI_EVAL that names the attribute. */
export function valueFor(name: string, plain: unknown, type: Type): Value {
  const value = valueOfPlain(fromJson(plain, type), type);
  if (value === undefined)
    throw new CliError(
      'CLI_EVAL',
      `${name} is ${JSON.stringify(plain)}; expected ${type.kind === 'bytes' ? 'base64' : wantedForm(type)} (${typeText(type)})`,
    );
  return value;
}

/** Reads the forms that YAML lacks: whole numbers as decimal text, bytes as base64. */
export function fromJson(plain: unknown, type: Type): unknown {
  if ((type.kind === 'int' || type.kind === 'uint') && typeof plain === 'string')
    return /^-?\d{1,20}$/.test(plain) && isIn64(BigInt(plain), type.kind) ? BigInt(plain) : plain;
  if (type.kind === 'bytes' && typeof plain === 'string')
    return isBase64(plain) ? Buffer.from(plain, 'base64') : undefined;
  if (type.kind === 'list' && Array.isArray(plain)) return plain.map((item) => fromJson(item, type.of));
  if (type.kind === 'map' && typeof plain === 'object' && plain !== null && !Array.isArray(plain))
    return Object.fromEntries(Object.entries(plain).map(([key, item]) => [key, fromJson(item, type.of)]));
  return plain;
}

const isIn64 = (value: bigint, kind: 'int' | 'uint'): boolean =>
  (kind === 'int' ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value)) === value;
const isBase64 = (text: string): boolean => /^[A-Za-z0-9+/_-]*={0,2}$/.test(text);

/** A list may contain one long text many times, so its JSON can be far longer than the value. */
const MAX_JSON_CHARACTERS = 4 * 1024 * 1024;

/**
 * As JSON: int and uint as a number if that is exact, else as decimal text; bytes as base64; times, durations and addresses as
 * text. Throws CLI_EVAL if it would be longer than about `mostCharacters`.
 */
export function jsonOf(value: Val, mostCharacters: number = MAX_JSON_CHARACTERS): unknown {
  let left = mostCharacters;
  const spend = (characters: number): void => {
    left -= characters;
    if (left < 0)
      throw new CliError(
        'CLI_EVAL',
        `the value is longer than ${mostCharacters} characters of JSON; reduce it, for instance to its size()`,
      );
  };
  return plainOf(value, spend);
}

function plainOf(value: Val, spend: (characters: number) => void): unknown {
  spend(typeof value === 'string' ? value.length + 3 : value instanceof Uint8Array ? value.length * 1.4 : 3);
  if (typeof value === 'bigint')
    return BigInt.asIntN(54, value) === value && Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Uint) return plainOf(value.value, spend);
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (value instanceof Optional) return value.value === undefined ? null : plainOf(value.value, spend);
  if (value instanceof TypeName) return value.name;
  if (Array.isArray(value)) return (value as readonly Val[]).map((item) => plainOf(item, spend));
  if (value instanceof Map)
    return Object.fromEntries(
      [...(value as ReadonlyMap<Val, Val>)].map(([key, item]) => [String(plainOf(key, spend)), plainOf(item, spend)]),
    );
  return jsonOfValue(value as Value);
}
