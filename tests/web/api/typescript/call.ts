// What a program may do with the generated types. Arguments: the service's address, and a picture in base64.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

declare const process: { argv: string[] };
const [, , baseUrl, image] = process.argv;
const client = createClient<paths>({ baseUrl });

function sure<T>({ data, error }: { data?: T; error?: components["schemas"]["Problem"] }): T {
  if (data === undefined) throw new Error(error?.detail);
  return data;
}

const prediction = sure(await client.POST("/predict", { body: { image } }));
const scores = sure(await client.POST("/hf", { body: { inputs: image ?? "" } }));
const kept = sure(await client.POST("/feedback", { body: { request_id: prediction.request_id, label: "blue" } }));
const place = sure(await client.GET("/feedback/{row_id}", { params: { path: { row_id: kept.id } } }));
await client.DELETE("/feedback", { body: { receipt: kept.receipt ?? "" } });
const refused = await client.POST("/predict", { body: { image: "no base64" } });
console.log(JSON.stringify([prediction.label, scores[0]?.label, place.status, refused.error?.error]));
