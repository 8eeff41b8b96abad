// Run by the image of MongoDB when its data directory is empty: the user of LUME-services, who is no administrator.
db.getSiblingDB("lume").createUser({
  user: "lume",
  pwd: process.env.LUME_RESULTS_DB__PASSWORD,
  roles: [{ role: "readWrite", db: "lume" }],
});
