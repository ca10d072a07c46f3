/**
 * Where the tokens of a rule of RequestAuthentication may be.
 * **In**: the rule. **Out**: its locations, in the order in which they are looked at. **Fails**: with findings.
 */
import { type Fields, fieldsOf } from '../../yaml/fields.ts';
import type { Findings } from '../../yaml/findings.ts';
import { texts } from '../../yaml/texts.ts';
import type { Plain } from './nodes.ts';
import { itemsOf } from './object.ts';
import { quoted } from './tests.ts';

/** Where a token may be: its text in CEL, and the change that removes it. */
export interface Location {
  readonly config: Readonly<Record<string, string>>;
  readonly token: string | undefined;
  readonly remove: Readonly<Record<string, Plain>> | undefined;
}

const headerLocation = (name: string, prefix: string): Location => {
  const text = `request.headers[?${quoted(name.toLowerCase())}].orValue("")`;
  return {
    config: { header: name, prefix },
    token: text,
    remove: { request: { remove: [name] } },
  };
};
const queryLocation = (name: string): Location => ({
  config: { query: name },
  token: `request.query[?${quoted(name)}].orValue("")`,
  remove: { query: { remove: [name] } },
});
/** Envoy leaves cookies as they are. */
const cookieLocation = (cookie: string): Location => ({ config: { cookie }, token: undefined, remove: undefined });
const DEFAULT_LOCATIONS = [headerLocation('authorization', 'Bearer '), queryLocation('access_token')];

export function locationsOf(fields: Fields, findings: Findings): readonly Location[] {
  const found = [
    ...itemsOf(fields, 'fromHeaders', findings).flatMap((item) => {
      const header = fieldsOf(item, 'an item of fromHeaders', findings)?.only(['name', 'prefix']);
      header?.required('name', 'the name of a header');
      const name = header?.text('name');
      return name === undefined
        ? []
        : [headerLocation(name, header?.has('prefix') === true ? (header.text('prefix') ?? '') : '')];
    }),
    ...texts(fields.node('fromParams'), 'fromParams', findings).map(queryLocation),
    ...texts(fields.node('fromCookies'), 'fromCookies', findings).map(cookieLocation),
  ];
  return found.length === 0 ? DEFAULT_LOCATIONS : found;
}
