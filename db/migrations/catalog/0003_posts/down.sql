DROP TABLE catalog.comments;
DROP TABLE catalog.posts;
