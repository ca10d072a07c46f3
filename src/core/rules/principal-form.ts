/** Constants compared with a principal that never equal one: as Envoy names a peer, a SPIFFE ID has lost its scheme. */
import { comparedTexts } from './compared-texts.ts';

const SCHEME = 'spiffe://';
const PRINCIPALS = ['source', 'destination', 'origin'].map((peer) => ({
  name: `${peer}.principal`,
  textsOf: comparedTexts(`${peer}\\.\\??principal(?:\\.orValue\\((?:"[^"]*"|'[^']*')\\))?`),
}));

/** A message per constant. */
export function oddPrincipals(source: string): readonly string[] {
  if (!source.includes(SCHEME)) return [];
  return PRINCIPALS.flatMap(({ name, textsOf }) => {
    const { whole, parts } = textsOf(source);
    const wrong = (relation: string, text: string): string => {
      const rest = text.replaceAll(SCHEME, '');
      const fix = rest === '' ? 'remove this test' : `write ${JSON.stringify(rest)}`;
      return `${name} never ${relation} ${JSON.stringify(text)}: principals have no ${SCHEME}; ${fix}`;
    };
    return [
      ...whole.filter((text) => text.startsWith(SCHEME)).map((text) => wrong('equals', text)),
      ...parts.filter((text) => text.includes(SCHEME)).map((text) => wrong('contains', text)),
    ];
  });
}
