/** `onAllow`, `onDeny` and the answer of a deny: texts and header names, checked when the policy loads. */
import type { Attributes } from '../../attributes/attributes.ts';
import type { CompiledText } from '../../expression/index.ts';
import { textOfNode } from './expressions.ts';
import { Fields, fieldsOf, listOfNodes } from './fields.ts';
import type { Findings } from './findings.ts';
import { type Node, type Place, nodeText } from './nodes.ts';
import type { Changes, DenyAnswer, HeaderChanges } from './rule.ts';

type Texts = readonly (readonly [name: string, value: CompiledText])[];

export class ChangesReader {
  readonly #attributes: Attributes;
  readonly #findings: Findings;

  constructor(attributes: Attributes, findings: Findings) {
    this.#attributes = attributes;
    this.#findings = findings;
  }

  /** The keys `status`, `headers`, `body` of a deny or an onDeny. */
  denyAnswer(fields: Fields): DenyAnswer {
    const body = fields.node('body');
    return {
      status: fields.wholeNumber('status', 300, 599),
      headers: this.#texts(fields.node('headers'), 'headers', true),
      body: body === undefined ? undefined : textOfNode(body, 'body', this.#attributes, this.#findings),
    };
  }

  onAllow(node: Node): Changes | undefined {
    const fields = fieldsOf(node, 'onAllow', this.#findings)?.only(['request', 'response', 'query', 'metadata']);
    if (fields === undefined) return undefined;
    const query = fields.map('query', 'query')?.only(['set', 'remove']);
    return {
      request: this.#headers(fields.map('request', 'request')),
      response: this.#headers(fields.map('response', 'response')),
      query: { set: this.#texts(query?.node('set'), 'query.set', false), remove: this.#names(query?.node('remove'), 'query.remove', false) },
      metadata: this.#texts(fields.node('metadata'), 'metadata', false),
    };
  }

  #headers(fields: Fields | undefined): HeaderChanges {
    fields?.only(['set', 'append', 'remove']);
    return {
      set: this.#texts(fields?.node('set'), 'set', true),
      append: this.#texts(fields?.node('append'), 'append', true),
      remove: this.#names(fields?.node('remove'), 'remove', true),
    };
  }

  #texts(node: Node | undefined, what: string, areHeaders: boolean): Texts {
    if (node === undefined) return [];
    if (node.kind !== 'map') {
      this.#findings.error('RULES_VALUE', node.place, `${what} is a map of names and texts; here is ${nodeText(node)}`);
      return [];
    }
    return [...node.entries.values()].flatMap(({ key, keyPlace, value }) => {
      const name = areHeaders ? this.#header(key, keyPlace) : key;
      const text = textOfNode(value, `${what}.${key}`, this.#attributes, this.#findings);
      return name === undefined || text === undefined ? [] : [[name, text] as const];
    });
  }

  #names(node: Node | undefined, what: string, areHeaders: boolean): readonly string[] {
    if (node === undefined) return [];
    const items = listOfNodes(node, what, this.#findings)?.items ?? [];
    return items.flatMap((item) => {
      if (item.kind !== 'scalar' || typeof item.value !== 'string') {
        this.#findings.error('RULES_VALUE', item.place, `${what} lists names; here is ${nodeText(item)}`);
        return [];
      }
      const name = areHeaders ? this.#header(item.value, item.place) : item.value;
      return name === undefined ? [] : [name];
    });
  }

  /** Lower case; RFC 9110's token, and not what only the proxy may set. */
  #header(written: string, place: Place): string | undefined {
    const name = written.toLowerCase();
    if (/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name) && name !== 'host') return name;
    this.#findings.error('RULES_HEADER_NAME', place, `${JSON.stringify(written)} is no header that can be changed; a name has letters, digits and hyphens, and host and names with : are the proxy's own`);
    return undefined;
  }
}
