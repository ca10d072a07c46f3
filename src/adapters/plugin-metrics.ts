/** Counters and metrics pages of plugins, for /metrics. */
import type { Counter, Host, Log } from './contract.ts';

export interface PluginMetrics {
  /**
   * The metrics of one open handler. `withdraw` removes its pages, and its counters unless a handler of the same name is open, since a reload
   * must not reset them.
   */
  forHandler(handler: string): Host['metrics'] & { withdraw(): void };
  /** Prometheus text format; a page that fails is omitted and logged. */
  render(): Promise<string>;
}

type Render = () => string | Promise<string>;

const NAME = /^[a-z][a-z0-9_]*$/;

export const isCounterName = (name: string): boolean => NAME.test(name);

export function checkCounterName(name: string): void {
  if (!isCounterName(name)) throw new Error(`the counter's name "${name}" is not in snake_case`);
}

export const joinPages = (pages: readonly string[]): string => pages.map(ended).join('');

export function createPluginMetrics(log: Log): PluginMetrics {
  const counters = new Map<string, { readonly help: string; readonly values: Map<string, number> }>();
  /** Pages by handler, newest last; during a reload two are open, and the newest is shown. */
  const openings = new Map<string, Render[][]>();

  function counter(handler: string, name: string, help: string): Counter {
    checkCounterName(name);
    let family = counters.get(name);
    if (family === undefined) counters.set(name, (family = { help, values: new Map() }));
    const { values } = family;
    if (!values.has(handler)) values.set(handler, 0);
    return {
      add: (amount = 1) => {
        const value = values.get(handler);
        if (value !== undefined) values.set(handler, value + amount); // else the handler is closed
      },
    };
  }

  async function page(handler: string, render: Render): Promise<string> {
    try {
      return ended(await render());
    } catch (error) {
      log.warn('the metrics page of a handler failed and is left out', { handler, error });
      return '';
    }
  }

  return {
    forHandler(handler) {
      const pages: Render[] = [];
      const stack = openings.get(handler) ?? [];
      openings.set(handler, stack);
      stack.push(pages);
      return {
        counter: (name, help) => counter(handler, name, help),
        page: (render) => {
          pages.push(render);
        },
        withdraw() {
          const at = stack.indexOf(pages);
          if (at >= 0) stack.splice(at, 1);
          if (stack.length > 0 || openings.get(handler) !== stack) return;
          openings.delete(handler);
          for (const [name, { values }] of counters)
            if (values.delete(handler) && values.size === 0) counters.delete(name);
        },
      };
    },
    async render() {
      const own = [...counters].map(([name, { help, values }]) => {
        const full = `sluice_plugin_${name}_total`;
        const lines = [...values].map(([handler, value]) => `${full}{handler="${escaped(handler)}"} ${value}\n`);
        return `# HELP ${full} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${full} counter\n${lines.join('')}`;
      });
      const pages = await Promise.all(
        [...openings].flatMap(([handler, stack]) => (stack.at(-1) ?? []).map((render) => page(handler, render))),
      );
      return [...own, ...pages].join('');
    },
  };
}

const ended = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`);
const escaped = (label: string): string =>
  label.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
