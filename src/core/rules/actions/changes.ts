/** `onAllow`, `onDeny` and the answer of a deny: texts and header names, checked when the policy loads. */
import { isChangeableHeader, OF_THE_PROXY } from '../../header-names.ts';
import type { Attributes } from '../../../attributes/attributes.ts';
import type { CompiledText, TextOptions } from '../../../expression/index.ts';
import { MAX_BODY, MAX_HEADER, MAX_HEADERS } from '../../text-bounds.ts';
import { textOfNode } from '../expressions.ts';
import { Fields, fieldsOf, listOfNodes } from '../../../yaml/fields.ts';
import type { Findings } from '../../../yaml/findings.ts';
import { type Node, type Place, nodeText } from '../../../yaml/nodes.ts';
import type { Secrecy } from './secrecy.ts';
import { KEYS, RANGES } from '../keys.ts';
import type { Changes, DenyAnswer, HeaderChanges } from '../rule.ts';

interface TextsOptions {
  readonly areHeaders?: boolean;
  /** A name may have several values. */
  readonly mayBeLists?: boolean;
  readonly mayBreakLines?: boolean;
}

/** More texts of one map are refused unread: a rule is read in one turn of the event loop. */
const MAX_READ = 1000;

type Texts = readonly (readonly [name: string, value: CompiledText])[];

export class ChangesReader {
  readonly #attributes: Attributes;
  readonly #findings: Findings;
  readonly #secrecy: Secrecy;
  /** Secrets passed to the handler of the rule; its answer may repeat them. */
  readonly #given: readonly string[];
  /** Attributes that the rule's match proves to be present. */
  #present: ReadonlySet<string> | undefined;

  /** `given`: secrets passed to the handler, which `out.*` may contain. */
  constructor(attributes: Attributes, findings: Findings, secrecy: Secrecy, given: readonly string[] = []) {
    this.#attributes = attributes;
    this.#findings = findings;
    this.#secrecy = secrecy;
    this.#given = given;
  }

  /** The keys `status`, `headers`, `body` of a deny or an onDeny. `present`: {@link Compiled.proves} of the rule's match. */
  denyAnswer(fields: Fields, present: ReadonlySet<string> | undefined): DenyAnswer {
    this.#present = present;
    const body = fields.node('body');
    return {
      status: fields.wholeNumber('status', RANGES.status),
      headers: this.#texts(fields.node('headers'), 'headers', {
        areHeaders: true,
        mayBeLists: true,
      }),
      body: body === undefined ? undefined : this.#text(body, 'body', { maxCharacters: MAX_BODY }),
    };
  }

  onAllow(node: Node, present: ReadonlySet<string> | undefined): Changes | undefined {
    this.#present = present;
    const fields = fieldsOf(node, 'onAllow', this.#findings)?.only(KEYS.onAllow);
    if (fields === undefined) return undefined;
    const query = fields.map('query', 'query')?.only(KEYS.queryChanges);
    return {
      request: this.#headers(fields.map('request', 'request')),
      response: this.#headers(fields.map('response', 'response')),
      query: {
        set: this.#texts(query?.node('set'), 'query.set', {}),
        remove: this.#names(query?.node('remove'), 'query.remove', false),
      },
      metadata: this.#texts(fields.node('metadata'), 'metadata', { mayBreakLines: true }),
    };
  }

  #headers(fields: Fields | undefined): HeaderChanges {
    fields?.only(KEYS.headerChanges);
    return {
      set: this.#texts(fields?.node('set'), 'set', { areHeaders: true }),
      append: this.#texts(fields?.node('append'), 'append', { areHeaders: true, mayBeLists: true }),
      remove: this.#names(fields?.node('remove'), 'remove', true),
    };
  }

  #texts(
    node: Node | undefined,
    what: string,
    { areHeaders = false, mayBeLists = false, mayBreakLines = false }: TextsOptions,
  ): Texts {
    if (node === undefined) return [];
    if (node.kind !== 'map') {
      this.#findings.error(
        'RULES_VALUE',
        node.place,
        `${what} must be a map of names to texts; found ${nodeText(node)}`,
      );
      return [];
    }
    const entries = [...node.entries.values()];
    const count = entries.reduce((sum, { value }) => sum + (value.kind === 'list' ? value.items.length : 1), 0);
    if (count > MAX_READ) {
      this.#findings.error(
        'RULES_MANY_HEADERS',
        node.place,
        `${what} has ${count} texts; one answer has at most ${MAX_HEADERS}, so remove ${count - MAX_HEADERS}`,
      );
      return [];
    }
    const names = new Set<string>();
    return entries.flatMap(({ key, keyPlace, value }) => {
      const name = areHeaders ? this.#header(key, keyPlace) : this.#parameter(key, keyPlace);
      if (name !== undefined && names.has(name))
        this.#findings.error(
          'RULES_DUPLICATE',
          keyPlace,
          `${what} has ${name} twice (header names are case-insensitive); ` +
            (mayBeLists ? `write one list: ${name}: [a, b]` : 'remove one of the two'),
        );
      if (name === undefined) this.#findings.explain(value.place);
      else names.add(name);
      if (areHeaders && !mayBeLists && value.kind === 'list') {
        this.#findings.error(
          'RULES_VALUE',
          value.place,
          `${what}.${key} must be one text, since it replaces the value; for several values write append: { ${key}: [a, b] }`,
        );
        return [];
      }
      const values = mayBeLists && value.kind === 'list' ? value.items : [value];
      return values.flatMap((one) => {
        const text = this.#text(one, `${what}.${key}`, { oneLine: !mayBreakLines, maxCharacters: MAX_HEADER });
        return name === undefined || text === undefined ? [] : [[name, text] as const];
      });
    });
  }

  #parameter(name: string, place: Place): string | undefined {
    if (!/\p{Cc}/u.test(name)) return name;
    this.#findings.error('RULES_VALUE', place, `${JSON.stringify(name)} contains a control character; a name must not`);
    return undefined;
  }

  #text(node: Node, what: string, options: TextOptions = {}): CompiledText | undefined {
    const text = textOfNode(node, what, this.#attributes, this.#findings, { ...options, given: this.#present });
    if (text === undefined) return undefined;
    const [secret] = this.#secrecy.exposedBy(text.reads);
    if (secret !== undefined)
      this.#findings.error(
        'RULES_SECRET_IN_TEXT',
        node.place,
        `${what} would send the secret ${secret} in the clear; remove it, or write reveal(...) to send it on purpose`,
      );
    const out = text.reads.find(({ name, exposed }) => exposed && name.startsWith('out.'));
    if (out !== undefined && this.#given.length > 0)
      this.#findings.error(
        'RULES_SECRET_IN_TEXT',
        node.place,
        `${what} would send ${out.name}, which may contain ${this.#given[0]}, a secret that the handler was given; ` +
          `remove it, or write reveal(${out.name}) to send it on purpose`,
      );
    return text;
  }

  #names(node: Node | undefined, what: string, areHeaders: boolean): readonly string[] {
    if (node === undefined) return [];
    const items = listOfNodes(node, what, this.#findings)?.items ?? [];
    return items.flatMap((item) => {
      if (item.kind !== 'scalar' || typeof item.value !== 'string') {
        this.#findings.error('RULES_VALUE', item.place, `${what} must list names; found ${nodeText(item)}`);
        return [];
      }
      const name = areHeaders ? this.#header(item.value, item.place) : item.value;
      return name === undefined ? [] : [name];
    });
  }

  /** In lower case: an RFC 9110 token that is not reserved for the proxy. */
  #header(written: string, place: Place): string | undefined {
    const name = written.toLowerCase();
    if (isChangeableHeader(name)) return name;
    const why = OF_THE_PROXY.has(name)
      ? `${name} belongs to the proxy: it routes or delimits the message`
      : 'a header name has letters, digits and hyphens; names with : belong to the proxy';
    this.#findings.error('RULES_HEADER_NAME', place, `the header ${JSON.stringify(written)} cannot be changed; ${why}`);
    return undefined;
  }
}
