/**
 * The grammar of CEL (google/cel-spec, doc/langdef.md).
 * **In**: text. **Out**: a tree. **Fails**: with a {@link SyntaxProblem}.
 */
import { type Node, partsOf } from './ast.ts';
import { TokenCursor } from './cursor.ts';
import { type Token, tokensOf } from './lexer.ts';
import { macroNode } from './macros.ts';
import { SyntaxProblem } from './problem.ts';
import { canonicalInt } from '../../attributes/values.ts';

const MAX_DEPTH = 250;
/** Of the tree, where `a || b || c` is one deeper for each sign; the checker and the back ends recurse. */
const MAX_TREE_DEPTH = 1000;
const MAX_LENGTH = 100_000;

const RESERVED: ReadonlySet<string> = new Set(
  'as break const continue else for function if import let loop package namespace return var void while'.split(' '),
);
/** Not even the name of a field. */
const LITERAL_WORDS: ReadonlySet<string> = new Set(['true', 'false', 'null', 'in']);
const RELATIONS: ReadonlySet<string> = new Set(['==', '!=', '<', '<=', '>', '>=', 'in']);

export function parse(text: string): Node {
  if (text.length > MAX_LENGTH)
    throw new SyntaxProblem(`an expression has at most ${MAX_LENGTH} characters; this one has ${text.length}`, 0, 1);
  return new Parser(tokensOf(text)).whole();
}

function refuseDeep(root: Node): void {
  let level: readonly Node[] = [root];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > MAX_TREE_DEPTH)
      throw new SyntaxProblem(
        `more than ${MAX_TREE_DEPTH} operators in a row; write x in [...] instead of many ==, or split it with named expressions`,
        root.start,
        root.end,
      );
    level = level.flatMap(partsOf);
  }
}

class Parser extends TokenCursor {
  #depth = 0;

  whole(): Node {
    const node = this.#expression();
    const rest = this.peek();
    if (rest.kind !== 'end') throw this.unexpected(rest, 'expected an operator or the end');
    if (this.tokens.length > MAX_TREE_DEPTH) refuseDeep(node); // each level has one token at least
    return node;
  }

  #expression(): Node {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH)
      throw new SyntaxProblem(
        `nested deeper than ${MAX_DEPTH}; split it with named expressions (attributes: my.name: { is: ... })`,
        this.peek().start,
        this.peek().end,
      );
    const test = this.#or();
    let node = test;
    if (this.take('?')) {
      const yes = this.#or();
      this.expect(':');
      const no = this.#expression();
      node = { kind: 'if', test, yes, no, start: test.start, end: no.end };
    }
    this.#depth -= 1;
    return node;
  }

  #or(): Node {
    let left = this.#and();
    while (this.take('||')) {
      const right = this.#and();
      left = { kind: 'or', left, right, start: left.start, end: right.end };
    }
    return left;
  }

  #and(): Node {
    let left = this.#relation();
    while (this.take('&&')) {
      const right = this.#relation();
      left = { kind: 'and', left, right, start: left.start, end: right.end };
    }
    return left;
  }

  #relation(): Node {
    let left = this.#sum();
    while (
      RELATIONS.has(this.peek().text) &&
      (this.peek().kind === 'sign' || this.peek().text === 'in') &&
      this.peek().kind !== 'string'
    )
      left = this.#binary(left, () => this.#sum());
    return left;
  }

  #sum(): Node {
    let left = this.#product();
    while (this.is('+') || this.is('-')) left = this.#binary(left, () => this.#product());
    return left;
  }

  #product(): Node {
    let left = this.#unary();
    while (this.is('*') || this.is('/') || this.is('%')) left = this.#binary(left, () => this.#unary());
    return left;
  }

  #binary(left: Node, operand: () => Node): Node {
    const sign = this.next();
    const right = operand();
    return {
      kind: 'call',
      name: sign.text,
      target: undefined,
      args: [left, right],
      start: left.start,
      end: right.end,
    };
  }

  #unary(): Node {
    const sign = this.peek();
    if (!this.is('!') && !this.is('-')) return this.#member();
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw new SyntaxProblem(`nested deeper than ${MAX_DEPTH}`, sign.start, sign.end);
    this.next();
    const number = this.peek();
    let node: Node;
    if (sign.text === '-' && (number.kind === 'int' || number.kind === 'double')) {
      this.next();
      const value = typeof number.value === 'bigint' ? canonicalInt(-number.value) : -(number.value as number);
      node = this.#members({ kind: 'literal', type: number.kind, value, start: sign.start, end: number.end });
    } else {
      const operand = this.#unary();
      node = {
        kind: 'call',
        name: sign.text,
        target: undefined,
        args: [operand],
        start: sign.start,
        end: operand.end,
      };
    }
    this.#depth -= 1;
    return node;
  }

  #member(): Node {
    return this.#members(this.#primary());
  }

  #members(first: Node): Node {
    let node = first;
    for (;;) {
      if (this.take('.')) {
        const optional = this.take('?');
        const field = this.next();
        if (field.kind !== 'name' && field.kind !== 'quoted-name')
          throw this.unexpected(field, 'expected a name after the dot');
        if (field.kind === 'name' && LITERAL_WORDS.has(field.text))
          throw new SyntaxProblem(
            `${field.text} is a reserved word; as a key it is written ["${field.text}"]`,
            field.start,
            field.end,
          );
        const name = field.kind === 'quoted-name' ? field.text.slice(1, -1) : field.text;
        if (!optional && field.kind === 'name' && this.take('(')) {
          const args = this.#arguments(')');
          const end = this.previous()?.end ?? field.end;
          node = macroNode(node, field, args, end) ?? {
            kind: 'call',
            name,
            target: node,
            args,
            start: node.start,
            end,
          };
        } else {
          node = {
            kind: 'select',
            of: node,
            field: name,
            optional,
            start: node.start,
            end: field.end,
          };
        }
      } else if (this.take('[')) {
        const optional = this.take('?');
        const key = this.#expression();
        const end = this.expect(']').end;
        node = { kind: 'index', of: node, key, optional, start: node.start, end };
      } else {
        return node;
      }
    }
  }

  #arguments(close: string): Node[] {
    const args: Node[] = [];
    if (this.take(close)) return args;
    do args.push(this.#expression());
    while (this.take(','));
    this.expect(close);
    return args;
  }

  #primary(): Node {
    const token = this.next();
    const { start, end } = token;
    switch (token.kind) {
      case 'int':
        if (token.value === 0x8000_0000_0000_0000n)
          throw new SyntaxProblem(`${token.text} is out of the range of int`, start, end);
        return { kind: 'literal', type: 'int', value: canonicalInt(token.value as bigint), start, end };
      case 'uint':
        return { kind: 'literal', type: 'uint', value: canonicalInt(token.value as bigint), start, end };
      case 'double':
      case 'string':
      case 'bytes':
        return { kind: 'literal', type: token.kind, value: token.value ?? null, start, end };
      case 'name':
        return this.#named(token);
      case 'sign':
        if (token.text === '(') {
          const inner = this.#expression();
          const close = this.expect(')');
          return { ...inner, start, end: close.end };
        }
        if (token.text === '[') return this.#list(start);
        if (token.text === '{') return this.#map(start);
        if (token.text === '.' && this.peek().kind === 'name') return this.#named(this.next(), true);
        throw this.unexpected(token, 'expected a value');
      case 'quoted-name':
      case 'end':
        throw this.unexpected(token, 'expected a value');
    }
  }

  #named(token: Token, absolute = false): Node {
    const { start, end, text } = token;
    if (text === 'true' || text === 'false')
      return { kind: 'literal', type: 'bool', value: text === 'true', start, end };
    if (text === 'null') return { kind: 'literal', type: 'null', value: null, start, end };
    if (text === 'in' || RESERVED.has(text)) throw new SyntaxProblem(`${text} is a reserved word`, start, end);
    if (!this.take('(')) return { kind: 'name', name: text, ...(absolute ? { absolute } : {}), start, end };
    const args = this.#arguments(')');
    const close = this.previous()?.end ?? end;
    if (text !== 'has') return { kind: 'call', name: text, target: undefined, args, start, end: close };
    const [of] = args;
    if (args.length !== 1 || of === undefined || (of.kind !== 'select' && of.kind !== 'index'))
      throw new SyntaxProblem('has() takes one attribute or field, such as has(source.principal)', start, close);
    return { kind: 'has', of, start, end: close };
  }

  #list(start: number): Node {
    const items: { node: Node; optional: boolean }[] = [];
    while (!this.is(']') && !(items.length === 0 && this.take(','))) {
      const optional = this.take('?');
      items.push({ node: this.#expression(), optional });
      if (!this.take(',')) break;
    }
    return { kind: 'list', items, start, end: this.expect(']').end };
  }

  #map(start: number): Node {
    const entries: { key: Node; value: Node; optional: boolean }[] = [];
    while (!this.is('}') && !(entries.length === 0 && this.take(','))) {
      const optional = this.take('?');
      const key = this.#expression();
      if (entries.length === 0 && this.is('}'))
        throw this.unexpected(
          this.peek(),
          'expected :, as in {"key": value}; an attribute is its name, without braces',
        );
      this.expect(':');
      entries.push({ key, value: this.#expression(), optional });
      if (!this.take(',')) break;
    }
    return { kind: 'map', entries, start, end: this.expect('}').end };
  }
}
