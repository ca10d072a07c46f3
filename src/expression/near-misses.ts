/**
 * Texts that seem to name a value and do not: `$request.path}`, `{request.path}`, `%REQ(:path)%`.
 * **In**: a text, and the attributes. **Out**: the first of them, as a warning. **Fails**: never.
 * JSON, prices and scripts are none: the name must be that of an attribute.
 */
import type { Attributes } from '../attributes/attributes.ts';
import type { Problem } from './parse/problem.ts';

const NAME = String.raw`[a-z]\w*(?:\.\w+)+`;
const INDEX = String.raw`(?:\[\s*(?:"[^"\]]*"|'[^'\]]*')\s*\])?`;

/** In the manner of shells, templates and other languages. */
const OF_OTHERS = new RegExp(String.raw`(\$\s*[{[(]|\$|[#%@]?\{\{?)\s*(${NAME}${INDEX})\s*([}\])]{0,2})`, 'g');
/** Nothing but a name: an expression where a text is expected. */
const ALONE = new RegExp(String.raw`^\s*(${NAME}${INDEX})\s*$`);
const IN_A_STRING = new RegExp(String.raw`\$\{\s*(${NAME}${INDEX})[^}]*\}?`, 'g');
/** Operators of Envoy's access log. */
const OF_ENVOY =
  /%(?:[A-Z][A-Z_]{2,}\([^)%]*\)(?::\d+)?|(?:DOWNSTREAM|UPSTREAM|RESPONSE|REQUEST|STREAM|ROUTE|BYTES|CONNECTION|START)_[A-Z_0-9]+|PROTOCOL)%/g;
const OF_HELM =
  /\{\{-?\s*(?:\.(?:Values|Release|Chart|Files|Capabilities)\b|(?:include|tpl|toYaml|template)\s)[^{}]*(?:\}\})?/g;

export const NOT_REPLACED = 'EXPRESSION_NOT_REPLACED';

/** `literals`: the parts of the text that are no expressions. */
export function nearMiss(
  source: string,
  literals: readonly (readonly [start: number, end: number])[],
  attributes: Attributes,
): Problem | undefined {
  const alone = ALONE.exec(source)?.[1];
  if (alone !== undefined && isKnown(alone, attributes))
    return miss(source, source.indexOf(alone), alone, `${alone} is sent as these words`, valueOf(alone));
  for (const [start, end] of literals) {
    const literal = source.slice(start, end);
    for (const { 0: written, 1: opening = '', 2: name = '', 3: closing = '', index } of literal.matchAll(OF_OTHERS)) {
      const isMarked = opening.startsWith('$') && (opening.length > 1 || closing !== '');
      if (isKnown(name, attributes) || (isMarked && isRoot(name, attributes)))
        return miss(source, start + index, written.trim(), `${written.trim()} is sent as it stands`, valueOf(name));
    }
    for (const { 0: written, index } of literal.matchAll(OF_ENVOY))
      return miss(
        source,
        start + index,
        written,
        `${written} is of Envoy's access log, and sent as it stands`,
        'write ${...} with an attribute (docs/attributes.md)',
      );
    for (const { 0: written, index } of literal.matchAll(OF_HELM))
      return miss(
        source,
        start + index,
        written,
        `${written} is of a template of Helm, and sent as it stands`,
        'put what it comes to (helm template) into the policy',
      );
  }
  return undefined;
}

/** `${name}` in a string of an expression: no string has values in it. */
export const textInString = (source: string, attributes: Attributes): Problem | undefined =>
  unreplaced(source, attributes, 'stands in a string of an expression', (name) => `join texts by +: "..." + ${name}`);

/** `${name}` in a text of params, which are the same for each call. */
export const textInParams = (source: string, attributes: Attributes): Problem | undefined =>
  unreplaced(source, attributes, 'stands in params', (name) => `give the handler ${name} by input`);

function unreplaced(
  source: string,
  attributes: Attributes,
  where: string,
  fix: (name: string) => string,
): Problem | undefined {
  for (const { 0: written, 1: name = '', index } of source.includes('${') ? source.matchAll(IN_A_STRING) : [])
    if (isKnown(name, attributes))
      return miss(source, index, written, `${written} ${where}, and is not replaced`, fix(name));
  return undefined;
}

const valueOf = (name: string): string => `write \${${name}} for its value`;

const miss = (source: string, start: number, written: string, what: string, fix: string): Problem => ({
  code: NOT_REPLACED,
  message: `${what}; ${fix}`,
  start,
  end: Math.min(source.length, start + written.length),
});

/** An attribute, or a key of one. */
function isKnown(written: string, attributes: Attributes): boolean {
  const name = written.replace(/\[.*$/, '');
  // One word and a dot, such as metadata.json, may be anything.
  for (let end = name.length; name.lastIndexOf('.', end - 1) > 0; end = name.lastIndexOf('.', end - 1))
    if (attributes.slotOf(name.slice(0, end)) !== undefined) return true;
  return false;
}

function isRoot(name: string, attributes: Attributes): boolean {
  const root = name.slice(0, name.indexOf('.') + 1);
  for (const known of attributes.names()) if (known.startsWith(root)) return true;
  return false;
}
