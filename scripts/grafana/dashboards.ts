/** The boards as dashboards of Grafana: `npm run generate` writes deploy/grafana. */
import type { Board, Panel } from './board.ts';
import { LIMITS, OVERVIEW, RULES } from './calls.ts';
import { HANDLERS, PROCESS } from './servers.ts';

const BOARDS: Readonly<Record<string, Board>> = {
  overview: OVERVIEW,
  rules: RULES,
  limits: LIMITS,
  handlers: HANDLERS,
  process: PROCESS,
};

const WIDTH = 8;
const HEIGHT = 8;
const COLUMNS = 3;
const SOURCE = { type: 'prometheus', uid: '${datasource}' };

/** Files of deploy/grafana with their text. */
export const grafanaBoards = (): ReadonlyMap<string, string> =>
  new Map(
    Object.entries(BOARDS).map(([name, board]) => [
      `sluice-${name}.json`,
      `${JSON.stringify(dashboard(name, board), null, 1)}\n`,
    ]),
  );

function dashboard(name: string, { title, rows }: Board): object {
  let id = 0;
  let y = 0;
  const panels = rows.flatMap((row) => {
    const header = {
      id: ++id,
      type: 'row',
      title: row.title,
      collapsed: false,
      gridPos: { h: 1, w: 24, x: 0, y: y++ },
      panels: [],
    };
    const own = row.panels.map((panel, at) =>
      panelOf(panel, ++id, {
        h: HEIGHT,
        w: WIDTH,
        x: (at % COLUMNS) * WIDTH,
        y: y + Math.floor(at / COLUMNS) * HEIGHT,
      }),
    );
    y += Math.ceil(row.panels.length / COLUMNS) * HEIGHT;
    return [header, ...own];
  });
  return {
    uid: `sluice-${name}`,
    title,
    tags: ['sluice'],
    schemaVersion: 39,
    editable: true,
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    links: [
      { type: 'dashboards', tags: ['sluice'], title: 'Sluice', asDropdown: true, keepTime: true, includeVars: true },
    ],
    templating: {
      list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' },
        variable('job', 'Job', 'label_values(sluice_policy_rules, job)'),
        variable('instance', 'Instance', 'label_values(sluice_policy_rules{job=~"$job"}, instance)'),
      ],
    },
    panels,
  };
}

const variable = (name: string, label: string, query: string): object => ({
  name,
  label,
  type: 'query',
  datasource: SOURCE,
  query: { query, refId: name },
  definition: query,
  refresh: 2,
  multi: true,
  includeAll: true,
  current: { text: ['All'], value: ['$__all'] },
});

function panelOf(
  { title, description, queries, unit = 'short', kind = 'timeseries' }: Panel,
  id: number,
  gridPos: object,
): object {
  const isInstant = kind === 'table' || kind === 'stat';
  return {
    id,
    type: kind,
    title,
    ...(description === undefined ? {} : { description }),
    datasource: SOURCE,
    gridPos,
    targets: queries.map(([expr, legendFormat], at) => ({
      refId: String.fromCharCode('A'.charCodeAt(0) + at),
      datasource: SOURCE,
      expr,
      legendFormat,
      ...(isInstant ? { instant: true } : { range: true }),
      ...(kind === 'table' || kind === 'heatmap' ? { format: kind } : {}),
    })),
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    options:
      kind === 'timeseries'
        ? {
            legend: { showLegend: true, displayMode: 'list', placement: 'bottom' },
            tooltip: { mode: 'multi', sort: 'desc' },
          }
        : {},
  };
}
