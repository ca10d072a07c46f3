/** Compiles expressions and texts of a policy; problems become findings at the exact character in the file. */
import type { Attributes } from '../../attributes/attributes.ts';
import {
  type Compilation,
  type Compiled,
  type CompiledText,
  type CompileOptions,
  type Problem,
  type TextOptions,
  compile,
  compileText,
  textInString,
} from '../../expression/index.ts';
import type { Findings } from '../../yaml/findings.ts';
import { oddHosts } from './host-form.ts';
import { oddPrincipals } from './principal-form.ts';
import { type Node, type Place, type ScalarNode, nodeText } from '../../yaml/nodes.ts';
import { scalarOffset } from '../../yaml/scalar-offsets.ts';

/** A YAML number or boolean is itself, text is an expression; anything else must be quoted (docs/rules.md, section 1). */
export function expressionOf(
  node: Node,
  what: string,
  attributes: Attributes,
  findings: Findings,
  options: CompileOptions & { readonly isQuota?: boolean } = {},
): Compiled | undefined {
  if (node.kind === 'scalar' && node.value === '' && node.style === 'plain') return undefined; // a tag, which is reported already
  if (node.kind !== 'scalar' || node.value === null || node.value === '') {
    findings.error(
      'RULES_QUOTE_IT',
      node.place,
      `${what} must be an expression; found ${node.kind === 'scalar' && node.value === '' ? 'empty text' : nodeText(node)}. ` +
        "If YAML takes a part of it for its own syntax, quote the whole expression: '...'",
    );
    return undefined;
  }
  const expected = options.isQuota === true ? 'ratelimit.descriptor[' : undefined;
  const { compiled } = reported(compile(String(node.value), attributes, options), node, attributes, findings, expected);
  if (compiled !== undefined && /\brequest\.path\s*==|==\s*request\.path\b(?!\.)/.test(compiled.source)) {
    findings.warn(
      'RULES_PATH_AS_SENT',
      node.place,
      'request.path is the path as the client sent it, with the query and not normalised, so == is easily bypassed; ' +
        'compare request.url_path',
    );
  }
  const miss = compiled === undefined ? undefined : textInString(compiled.source, attributes);
  if (miss !== undefined) findings.add('warning', miss.code, placeOf(node, miss), miss.message);
  for (const message of compiled === undefined ? [] : oddHosts(compiled.source))
    findings.warn('RULES_HOST_FORM', node.place, message);
  for (const message of compiled === undefined ? [] : oddPrincipals(compiled.source))
    findings.warn('RULES_PRINCIPAL_FORM', node.place, message);
  return compiled === undefined ? undefined : withoutWarnings(compiled);
}

/** Text with `${...}`; a number or boolean is its text. */
export function textOfNode(
  node: Node,
  what: string,
  attributes: Attributes,
  findings: Findings,
  options: TextOptions = {},
): CompiledText | undefined {
  if (node.kind !== 'scalar' || node.value === null) {
    findings.error('RULES_VALUE', node.place, `${what} must be text; found ${nodeText(node)}`);
    return undefined;
  }
  const text = typeof node.value === 'string' ? node.value : node.written;
  const { compiled } = reported(compileText(text, attributes, options), node, attributes, findings, 'verdict.id ');
  return compiled === undefined ? undefined : withoutWarnings(compiled);
}

/** Warnings are reported already; the policy need not retain them. */
const withoutWarnings = <C extends Compiled | CompiledText>(compiled: C): C =>
  compiled.warnings.length === 0 ? compiled : { ...compiled, warnings: NONE };
const NONE: readonly never[] = [];

/**
 * `present`: how warnings of a possibly absent attribute begin that is not absent here: a descriptor without the key is not asked for a
 * quota, and texts are rendered with the id of their verdict.
 */
function reported<C extends { readonly warnings: readonly Problem[] }>(
  compilation: Compilation<C>,
  node: ScalarNode,
  attributes: Attributes,
  findings: Findings,
  present?: string,
): Compilation<C> {
  for (const problem of compilation.problems) {
    const written = String(node.value).slice(problem.start, problem.end);
    const isUnknown = problem.code === 'EXPRESSION_UNKNOWN_ATTRIBUTE';
    if (isUnknown && isUndeclared(written, findings)) continue;
    const place = placeOf(node, problem);
    // An attribute of the policy lacks one declaration; another name is misspelt in each expression, such as a variable.
    if (!isUnknown) findings.add('error', problem.code, place, problem.message);
    else if (written.startsWith('my.'))
      findings.once(declaresAny(attributes) ? written : 'no attributes', problem.code, place, problem.message);
    else
      findings.once(`${node.place.source.file}:${node.place.start} ${written}`, problem.code, place, problem.message);
  }
  for (const warning of compilation.compiled?.warnings ?? []) {
    if (present !== undefined && warning.message.startsWith(present)) continue;
    findings.add('warning', warning.code, placeOf(node, warning), warning.message);
  }
  return compilation;
}

function declaresAny(attributes: Attributes): boolean {
  for (const name of attributes.names()) if (name.startsWith('my.')) return true;
  return false;
}

function isUndeclared(written: string, { undeclared }: Findings): boolean {
  const name = written.replaceAll('?', '');
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1))
    if (undeclared.has(name.slice(0, dot))) return true;
  return undeclared.has(name);
}

export function placeOf(node: ScalarNode, { start, end }: Problem): Place {
  const from = scalarOffset(node, start);
  return { source: node.place.source, start: from, end: Math.max(from + 1, scalarOffset(node, end - 1) + 1) };
}
