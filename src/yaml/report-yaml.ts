/**
 * The errors and warnings of the YAML library as findings.
 * **In**: a composed document. **Out**: whether it is valid. **Fails**: with a finding per mistake; consequences are left out.
 */
import type { Document as YamlDocument, ErrorCode } from 'yaml';
import type { Findings } from './findings.ts';
import type { SourceText } from './source-text.ts';
import { yamlMistake } from './yaml-mistakes.ts';

/** In the place of a line: the lines after an error are not read as they are meant. */
const BROKEN = 0;

/** `lines`: lines with an error, also of other parts of the document. */
export function reportYaml(
  yaml: YamlDocument.Parsed,
  source: SourceText,
  findings: Findings,
  lines: Set<number>,
): boolean {
  for (const error of yaml.errors) {
    const { code, pos } = error;
    const { line } = source.positionAt(pos[0]);
    // One mistake causes several errors: on its line, and wherever the lines after it no longer fit.
    const isNear = lines.has(line - 1) || lines.has(line - 2);
    const isConsequence = lines.has(line) || (!INDEPENDENT.has(code) && (isNear || lines.has(BROKEN)));
    lines.add(line);
    if (!OF_A_SCALAR.has(code)) lines.add(BROKEN);
    if (isConsequence) continue;
    const { start, end, message, isLast } = yamlMistake(error, source.text);
    findings.error('RULES_YAML', { source, start, end }, message);
    if (isLast) break;
  }
  for (const { code, pos, message } of yaml.warnings) {
    const place = { source, start: pos[0], end: pos[1] };
    const written = source.text.slice(pos[0], pos[1]);
    if (code === 'TAG_RESOLVE_FAILED')
      findings.error(
        'RULES_QUOTE_IT',
        place,
        `YAML reads ${written} as a tag and drops it; quote the whole value: '...'`,
      );
    else findings.error('RULES_QUOTE_IT', place, `YAML warns: ${message}; if it is text, quote it`);
  }
  return yaml.errors.length === 0;
}

/** Of errors that no other error causes. */
const INDEPENDENT: ReadonlySet<ErrorCode> = new Set(['TAB_AS_INDENT', 'BAD_DQ_ESCAPE']);
/** After these the rest of the document is read as it is meant. */
const OF_A_SCALAR: ReadonlySet<ErrorCode> = new Set([
  'DUPLICATE_KEY',
  'BAD_DQ_ESCAPE',
  'BAD_SCALAR_START',
  'BAD_ALIAS',
]);
