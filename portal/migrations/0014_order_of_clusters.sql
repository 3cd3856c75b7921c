-- A page of a list reads as many clusters as it shows, in their order.
CREATE INDEX cluster_in_order ON cluster (subscription, cluster);
