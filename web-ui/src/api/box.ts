/** One function a route of the box, for the page and for its worker. */
import { requestBytes, requestJson, requestNothing } from "./request";
import type * as t from "./types";

const V1 = new URL("/api/v1/", location.href).href;

const segmentPath = (stream: string, segment: string) => `${V1}segments/${stream}/${segment}`;

export const state = () => requestJson<t.BoxState>(`${V1}state`);
export const session = () => requestJson<{ name: string }>(`${V1}session`);
export const claim = (body: t.ClaimBody) => requestJson<{ name: string }>(`${V1}claim`, { method: "POST", body });
export const signInParameters = (name: string) =>
  requestJson<t.SignInParameters>(`${V1}sign-in/parameters`, { method: "POST", body: { name } });
export const signIn = (name: string, auth: string) =>
  requestJson<t.SignedIn>(`${V1}sign-in`, { method: "POST", body: { name, auth } });
export const signOut = () => requestNothing(`${V1}sign-out`, { method: "POST", body: {} });
export const keyring = () => requestJson<t.KeyringAnswer>(`${V1}keyring`);
export const streams = (signal?: AbortSignal) => requestJson<t.Stream[]>(`${V1}streams`, { signal });
export const holds = (signal?: AbortSignal) => requestJson<t.Hold[]>(`${V1}holds`, { signal });
export const hold = (body: t.HoldBody) => requestJson<t.Hold>(`${V1}holds`, { method: "POST", body });
export const endHold = (id: string) => requestNothing(`${V1}holds/${id}/end`, { method: "POST", body: {} });
export const status = (signal?: AbortSignal) => requestJson<t.BoxStatus>(`${V1}status`, { signal });
export const timeline = (stream: string, fromUs: number, toUs: number, signal?: AbortSignal) =>
  requestJson<t.TimelineAnswer>(`${V1}streams/${stream}/timeline?from=${fromUs}&to=${toUs}`, { signal });
export const segmentIndex = (stream: string, segment: string, signal?: AbortSignal) =>
  requestJson<t.SegmentIndex>(`${segmentPath(stream, segment)}/index`, { signal });
/** Sealed bytes `from` to before `to` of a segment. */
export const segmentBytes = (stream: string, segment: string, from: number, to: number, signal?: AbortSignal) =>
  requestBytes(segmentPath(stream, segment), { range: [from, to - 1], signal });

export const logs = () => requestJson<t.LogHeads>(`${V1}log/checkpoint`);
export const logConsistency = (log: string, from: number, to: number) =>
  requestJson<t.LogProof>(`${V1}log/consistency?log=${log}&from=${from}&to=${to}`);
export const logInclusion = (log: string, index: number, size: number) =>
  requestJson<t.LogProof>(`${V1}log/inclusion?log=${log}&index=${index}&size=${size}`);
/** Sealed entries `from` to before `to` of a log, as far as they fit one answer. */
export const logEntries = (log: string, from: number, to: number) =>
  requestBytes(`${V1}log/entries?log=${log}&from=${from}&to=${to}`);

export function liveUrl(stream: string): string {
  const url = new URL(`${V1}live/${stream}`);
  url.protocol = url.protocol === "http:" ? "ws:" : "wss:";
  return url.href;
}
